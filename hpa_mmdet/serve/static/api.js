// The server's API: errors as sentences, uploads with progress, jobs as events.

export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function problemOf(reply) {
  const content = await reply.json().catch(() => null);
  const error = content?.error;
  return new ApiError(
    error?.message ?? "The server did not answer as expected.", reply.status, error?.code);
}

export async function call(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new ApiError("The server cannot be reached. Is it still running?", 0, "offline");
  }
  if (!reply.ok) throw await problemOf(reply);
  return reply;
}

export const getJson = async (path) => (await call(path)).json();

export const postJson = (path, content) => call(path, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(content),
});

// fetch tells nothing of how far an upload is; XMLHttpRequest does
export function upload(path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status < 400) resolve(request.response);
      else {
        const error = request.response?.error;
        reject(new ApiError(
          error?.message ?? "The server did not take the images.", request.status, error?.code));
      }
    };
    request.onerror = () => reject(new ApiError(
      "The images could not be sent. Is the server still running?", 0, "offline"));
    request.onabort = () => reject(new ApiError("Cancelled.", 0, "cancelled"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

// Calls onState for each event, until the job is done; resolves with the last state.
export function follow(jobId, onState, signal) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/api/jobs/${jobId}/events`);
    const end = (settle, value) => { events.close(); settle(value); };
    events.addEventListener("state", (event) => {
      const state = JSON.parse(event.data);
      onState(state);
      if (state.state === "done") end(resolve, state);
      if (state.state === "failed") {
        end(reject, new ApiError(state.error.message, 422, state.error.code));
      }
      if (state.state === "cancelled") end(reject, new ApiError("Cancelled.", 0, "cancelled"));
    });
    let failures = 0;
    events.onopen = () => { failures = 0; };
    events.onerror = () => {
      failures += 1;
      if (failures > 3 || events.readyState === EventSource.CLOSED) {
        end(reject, new ApiError("The connection to the server was lost.", 0, "offline"));
      }
    };
    signal.addEventListener("abort", () => {
      end(reject, new ApiError("Cancelled.", 0, "cancelled"));
    }, { once: true });
  });
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
