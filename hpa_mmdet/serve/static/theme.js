// Light or dark: as the system says, until somebody chooses.
const root = document.documentElement;
const KEY = "hpa-mmdet-theme";

function stored() {
  try { return localStorage.getItem(KEY); } catch { return null; }
}

function current() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return root.dataset.theme || (dark ? "dark" : "light");
}

if (stored()) root.dataset.theme = stored();

document.getElementById("theme")?.addEventListener("click", () => {
  root.dataset.theme = current() === "dark" ? "light" : "dark";
  try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* private window */ }
});

// links to pages that this server does not have stay hidden
const optional = document.querySelectorAll("[data-page]");
if (optional.length) {
  fetch("/api/pages").then((reply) => reply.json()).then((pages) => {
    for (const link of optional) link.hidden = !pages[link.dataset.page];
  }).catch(() => {});
}
