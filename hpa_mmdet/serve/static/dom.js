// Small helpers for making elements; text never becomes markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && typeof value !== "string") element[name] = value;
    else if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function tell(element, message) {
  element.textContent = message;
  element.hidden = !message;
}

export const percent = (share) => `${Math.round(100 * share)} %`;

export const sizeText = (bytes) => (bytes < 1e6
  ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

// whether keys belong to a field that takes text
export const isTyping = (event) => {
  const { tagName, type } = event.target;
  return tagName === "TEXTAREA" || tagName === "SELECT"
    || (tagName === "INPUT" && !["checkbox", "radio", "range", "button"].includes(type));
};
