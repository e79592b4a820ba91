// The service's calls. A call is a value, so that what is sent and the `curl` that sends the same come from one source:
// {path, form: {name: string | File}} or {path, json: {…}} or {path}.

/** What the service says of an error, a sentence that tells what to change. */
export class Problem extends Error {
  constructor({ detail, status, field, retryAfter }) {
    super(detail);
    Object.assign(this, { status, field, retryAfter });
  }
}

export const access = { key: "" };

/** Sends a call; resolves with the response, rejects with a Problem (or, where it was cancelled, an AbortError). */
export async function send({ path, form, json }, { signal } = {}) {
  const headers = access.key ? { "X-API-Key": access.key } : {};
  let body;
  if (form) {
    body = new FormData();
    for (const [name, value] of Object.entries(form)) body.append(name, value);
  } else if (json) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(json);
  }
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The service cannot be reached: look whether it runs, then try again." });
  }
  if (response.ok) return response;
  const { status } = response, retryAfter = Number(response.headers.get("Retry-After"));
  const problem = await response.json().catch(() => ({ detail: `The answer was ${status}, without a reason.` }));
  throw new Problem({ status, retryAfter, ...problem });
}

/** The same call as a command for a POSIX shell that writes the answer into `output`. */
export function curl({ path, form, json }, output) {
  const words = ["curl -sS", quoted(new URL(path, document.baseURI).href)];
  if (access.key) words.push('-H "X-API-Key: $RWAE_KEY"');
  for (const [name, value] of Object.entries(form ?? {})) {
    words.push(`-F ${quoted(value instanceof File ? `${name}=@${value.name}` : `${name}=${value}`)}`);
  }
  if (json) words.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(json))}`);
  return [...words, `-o ${quoted(output)}`].join(" \\\n  ");
}

function quoted(text) {
  return /^[\w@=:/.,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A file of media that came as base64. */
export async function fileOf({ media_type, data }, name) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new File([bytes], name, { type: media_type });
}
