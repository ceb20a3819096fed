// Shows the OpenAPI description for people.
import { getJson } from "./api.js";
import { byId, make, tell } from "./dom.js";

const { origin } = location;

byId("curl").textContent = `curl -F red=@cell_red.png -F green=@cell_green.png \\
     -F blue=@cell_blue.png -F yellow=@cell_yellow.png \\
     '${origin}/api/predict'`;
byId("python").textContent = `import requests

channels = ("red", "green", "blue", "yellow")
files = {name: open(f"cell_{name}.png", "rb") for name in channels}
reply = requests.post("${origin}/api/predict", files=files, timeout=600)
reply.raise_for_status()
for cell in reply.json()["cells"]:
    print(cell["cell_id"], cell["bbox"], max(cell["scores"]))`;

function nameOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(nameOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (schema.type === "array") return `list of ${nameOf(schema.items) || "values"}`;
  return schema.format === "binary" ? "file" : schema.type ?? "";
}

function rows(entries) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Values" },
    make("table", {}, make("tbody", {}, ...entries.map(([name, kind, text]) => make("tr", {},
      make("td", {}, make("code", { text: name })), make("td", { text: kind }),
      make("td", { text }))))));
}

function operation(method, path, about) {
  const entries = (about.parameters ?? []).map((parameter) => [
    parameter.name, nameOf(parameter.schema), parameter.description ?? (parameter.required ? "required" : "")]);
  const body = Object.values(about.requestBody?.content ?? {})[0]?.schema;
  for (const [name, schema] of Object.entries(body?.properties ?? {})) {
    entries.push([name, nameOf(schema), schema.description ?? "in the body"]);
  }
  const replies = Object.entries(about.responses ?? {}).map(([status, reply]) => {
    const [media, content] = Object.entries(reply.content ?? {})[0] ?? ["", {}];
    return [status, nameOf(content.schema) || media, reply.description ?? ""];
  });
  return make("details", { class: "panel" },
    make("summary", {}, make("code", { text: `${method.toUpperCase()} ${path}` }),
      make("span", { class: "hint", text: ` ${about.summary ?? ""}` })),
    ...(body?.description ? [make("p", { class: "hint", text: body.description })] : []),
    ...(entries.length ? [make("h3", { text: "Takes" }), rows(entries)] : []),
    make("h3", { text: "Answers" }), rows(replies));
}

getJson("/api/openapi.json").then((description) => {
  byId("paths").replaceChildren(make("h2", { text: "Requests" }),
    ...Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, about]) => operation(method, path, about))),
    make("h2", { text: "What they hold" }),
    ...Object.entries(description.components?.schemas ?? {}).map(([name, schema]) =>
      make("details", { class: "panel" }, make("summary", {}, make("code", { text: name }),
        make("span", { class: "hint", text: ` ${schema.description ?? ""}` })),
      rows(Object.entries(schema.properties ?? {}).map(([key, value]) =>
        [key, nameOf(value), value.description ?? ""])))));
}).catch((error) => tell(byId("problem"), error.message));
