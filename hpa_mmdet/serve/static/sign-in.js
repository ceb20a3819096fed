// Trades the token for a cookie.
const problem = document.getElementById("problem");

document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const reply = await fetch("/sign-in", {
    method: "POST", body: document.getElementById("token").value,
  }).catch(() => null);
  if (reply?.ok) {
    location.replace("/");
    return;
  }
  const content = await reply?.json().catch(() => null);
  problem.textContent = content?.error?.message ?? "The server cannot be reached.";
  problem.hidden = false;
});
