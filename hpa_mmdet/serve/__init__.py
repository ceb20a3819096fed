"""The web page and its API: channels in, named cells out, and a person's corrections.

Nothing here knows the network: it calls a function in another process and speaks HTTP.
"""
