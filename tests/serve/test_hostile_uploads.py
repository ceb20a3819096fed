"""What strangers may send: refused with a sentence, and the server lives on."""

import io
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import tifffile
from PIL import Image
from serve_stand_in import CHANNELS, cell_planes, leftovers, png, upload

MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def server_lives_on(server: str) -> Iterator[None]:
    yield
    for _ in range(200):  # the server notices that a client has gone when it reads on
        if requests.get(f"{server}/api/health", timeout=10).json()["jobs"] == 0:
            break
        time.sleep(0.05)
    assert requests.get(f"{server}/api/health", timeout=10).json()["jobs"] == 0
    reply = requests.post(f"{server}/api/predict", files=upload(cell_planes()), timeout=30)
    assert len(reply.json()["cells"]) == 3
    assert leftovers() == []


def send(server: str, files: dict) -> requests.Response:
    return requests.post(f"{server}/api/predict", files=files, timeout=30)


def refused(reply: requests.Response, status: int, code: str) -> str:
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    message: str = reply.json()["error"]["message"]
    assert "/tmp" not in message
    assert "Error" not in message
    return message


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_of_header(width: int, height: int, data: bytes = b"", more: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(array: np.ndarray, **options: object) -> bytes:
    written = io.BytesIO()
    tifffile.imwrite(written, array, **options)
    return written.getvalue()


def jpeg(array: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(array).save(written, "jpeg")
    return written.getvalue()


def archive() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", b"\0" * 20 * MEGABYTE)
    return written.getvalue()


PLANE = cell_planes()["blue"]
OTHERS = {name: png(PLANE) for name in ("red", "green", "yellow")}
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 415, "not_a_picture"),
        (SVG, 415, "not_a_picture"),
        (b"GIF89a" + b"\0" * 100, 415, "not_a_picture"),
        (archive(), 415, "not_a_picture"),
        (b"\x93NUMPY\x01\0\x76\0{'descr': '|O', 'fortran_order': False}", 415, "not_a_picture"),
        (b"\x80\x04cos\nsystem\n", 415, "not_a_picture"),
        (b"\x89PNG\r\n\x1a\n", 415, "not_a_picture"),
        (b"II*\0" + b"\xff" * 60, 415, "not_a_picture"),
        (png_of_header(60_000, 60_000), 413, "too_many_pixels"),
        (png_of_header(0, 0), 415, "not_a_picture"),
        (tiff(np.zeros((700, 700), np.uint8), compression="zlib"), 413, "too_many_pixels"),
        (png(PLANE)[:-30], 422, "unreadable"),
        (jpeg(PLANE)[:-30], 422, "unreadable"),
        (tiff(PLANE)[:-30], 415, "not_a_picture"),
        (png_of_header(120, 90, b"no zlib stream"), 422, "unreadable"),
        (tiff(PLANE.astype(np.float32)), 422, "unreadable"),
        (tiff(np.zeros((5, 90, 120), np.uint8), metadata={"axes": "ZYX"}), 422, "unreadable"),
        (png(PLANE[:80]), 422, "different_sizes"),
        (png(PLANE.astype(np.uint16) * 257), 422, "unreadable"),
    ],
    ids=[
        "empty", "svg", "gif", "zip bomb", "npy of objects", "pickle", "png magic", "tiff garbage",
        "png bomb", "png without pixels", "large tiff", "cut png", "cut jpeg", "cut tiff",
        "png of noise", "float tiff", "stack", "other size", "other depth",
    ],
)  # fmt: skip
def test_what_is_no_channel_is_refused(server: str, content: bytes, status: int, code: str) -> None:
    refused(send(server, {**OTHERS, "blue": content}), status, code)


def test_two_headers_do_not_smuggle_a_large_picture_in(server: str) -> None:
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    reply = send(
        server, {**OTHERS, "blue": png_of_header(120, 90, zlib.compress(b"\0" * 99), second)}
    )
    assert reply.status_code in (413, 415, 422)


def test_deflate_bomb_in_a_tiff_is_refused(server: str) -> None:
    bomb = bytearray(tiff(np.zeros((90, 120), np.uint8), compression="zlib"))
    packed = zlib.compress(b"\0" * 200 * MEGABYTE, 9)
    offset = len(bomb)
    page = tifffile.TiffFile(io.BytesIO(bytes(bomb))).pages[0]
    for name, value in (("StripOffsets", offset), ("StripByteCounts", len(packed))):
        place = page.tags[name].valueoffset
        bomb[place : place + 4] = struct.pack("<I", value)
    reply = send(server, {**OTHERS, "blue": bytes(bomb) + packed})
    assert reply.status_code in (200, 422)  # decoders stop at the header's size


def test_random_damage_is_an_answer(server: str) -> None:
    rng = np.random.default_rng(5)
    whole = [png(PLANE), tiff(PLANE, compression="zlib"), jpeg(PLANE)]
    for number in range(45):
        content = bytearray(whole[number % 3])
        for place in rng.integers(4, len(content), 1 + number % 7):
            content[place] = rng.integers(256)
        reply = send(server, {**OTHERS, "blue": bytes(content)})
        assert reply.status_code in (200, 413, 415, 422), reply.text


def test_hostile_names_are_not_used(server: str) -> None:
    names = ["../../etc/passwd", "a\0b.png", "x" * 3000 + ".png", "CON", 'a;b"c.png', "ü.png"]
    for name in names:
        files = {channel: (name, png(PLANE)) for channel in CHANNELS}
        assert send(server, files).status_code == 200


@pytest.mark.parametrize(
    ("files", "status", "code", "said"),
    [
        ({}, 415, "no_form", "multipart/form-data"),
        ({"../blue": b"a"}, 422, "unknown_field", "Name the fields red, green"),
        ({"red": png(PLANE)}, 422, "missing_channel", "The green and blue images are missing"),
        ({"image": png(PLANE)}, 422, "wrong_planes", "needs the planes red, green, blue, yellow"),
        ({"image": png(PLANE), "red": png(PLANE)}, 422, "too_many_files", "either one file"),
        ([("red", b"a"), ("red", b"b")], 422, "channel_twice", "two files for red"),
        ([(name, b"a") for name in (*CHANNELS, "image")], 413, "too_many_files", "at most 4"),
        ({"red": b"a" * 3 * MEGABYTE}, 413, "file_too_large", "2 MB"),
        ({"image": tiff(np.zeros((5, 9, 12), np.uint8), metadata={"axes": "CYX"})},
         422, "wrong_planes", "5 x 9 x 12"),
    ],
    ids=["nothing", "field", "missing", "one plane", "both", "twice", "five", "large", "planes"],
)  # fmt: skip
def test_wrong_forms_are_told_what_to_send(
    server: str, files: dict, status: int, code: str, said: str
) -> None:
    assert said in refused(send(server, files), status, code)


@pytest.mark.parametrize(
    "body",
    [b"", b"--x--\r\n", b"--x\r\n\r\n", b"no boundary", b"--x\r\nContent-Disposition: form-data"],
    ids=["empty", "no part", "no header", "no boundary", "cut"],
)
def test_broken_forms_are_refused(server: str, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = requests.post(f"{server}/api/predict", data=body, headers=headers, timeout=10)
    assert reply.status_code in (400, 422), reply.text


def test_part_with_endless_headers_is_refused(server: str) -> None:
    body = b"--x\r\n" + b"A: " + b"b" * MEGABYTE + b"\r\n\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = requests.post(f"{server}/api/predict", data=body, headers=headers, timeout=10)
    refused(reply, 400, "damaged_upload")


class RawClient:
    """A client that sends what it likes."""

    def __init__(self, server: str, headers: str, path: str = "/api/predict") -> None:
        where = urlsplit(server)
        self.socket = socket.create_connection((where.hostname, where.port), timeout=30)
        self.send(f"POST {path} HTTP/1.1\r\nHost: {where.netloc}\r\n{headers}\r\n\r\n".encode())

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> bytes:
        received = b""
        try:
            while part := self.socket.recv(65536):
                received += part
        except ConnectionError:
            pass
        self.socket.close()
        return received


FORM = "Content-Type: multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="red"; filename="a"\r\n\r\n'


def test_gigabyte_that_is_announced_is_refused_at_once(server: str) -> None:
    client = RawClient(server, f"{FORM}\r\nContent-Length: {2**30}\r\nExpect: 100-continue")
    answer = client.answer()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"larger than 4 MB" in answer


@pytest.mark.parametrize("announced", [True, False], ids=["content-length", "chunked"])
def test_gigabyte_that_is_sent_is_refused(server: str, announced: bool) -> None:
    length = f"Content-Length: {2**30}" if announced else "Transfer-Encoding: chunked"
    client = RawClient(server, f"{FORM}\r\n{length}")
    block = b"a" * MEGABYTE
    piece = block if announced else b"100000\r\n" + block + b"\r\n"

    def send_all() -> None:
        try:
            client.send(PART if announced else b"%x\r\n" % len(PART) + PART + b"\r\n")
            for _ in range(2**30 // MEGABYTE):
                client.send(piece)
        except OSError:
            pass  # the server has closed the connection

    sender = threading.Thread(target=send_all)
    sender.start()
    answer = client.answer()
    sender.join(60)
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]


def test_silent_upload_is_given_up(server: str) -> None:
    client = RawClient(server, f"{FORM}\r\nContent-Length: 5000")
    client.send(PART)
    assert client.answer().startswith(b"HTTP/1.1 408")


def test_dripping_upload_is_given_up(server: str) -> None:
    client = RawClient(server, f"{FORM}\r\nContent-Length: 5000")
    client.send(PART)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.3):
            try:
                client.send(b"a")
            except OSError:
                return

    dripper = threading.Thread(target=drip)
    dripper.start()
    answer = client.answer()
    stop.set()
    dripper.join()
    assert answer.startswith(b"HTTP/1.1 408")


def test_connection_without_a_request_is_closed(server: str) -> None:
    where = urlsplit(server)
    with socket.create_connection((where.hostname, where.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ")
        assert client.recv(100) == b""


def test_client_that_goes_away_leaves_nothing(server: str) -> None:
    for body in (PART, PART + b"a" * 100_000):
        client = RawClient(server, f"{FORM}\r\nContent-Length: 900000")
        client.send(body)
        client.socket.close()
    time.sleep(0.2)
