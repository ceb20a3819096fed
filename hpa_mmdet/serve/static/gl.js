// Draws channels and outlines with WebGL 2; contrast and filters change uniforms only.
import { depthsOf } from "./masks.js";
import { MIX } from "./picture.js";

const VERTEX = `#version 300 es
void main() { // one triangle over the whole canvas
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler2DArray;
precision highp usampler2D;
uniform sampler2DArray planes;
uniform usampler2D labels;
uniform usampler2D depths; // see depthsOf
uniform sampler2D colours;
uniform vec2 size;       // of the image
uniform float canvasHeight;
uniform vec3 view;       // image x and y of the canvas's top left, canvas pixels per image pixel
uniform int count;
uniform float depthScale; // of the second byte
uniform vec3 mixing[4];
uniform vec2 windows[4];
uniform bool outlines;
uniform uint hovered;
uniform uint chosen;
uniform float thickness;
out vec4 colour;

uint labelAt(vec2 at) {
  ivec2 place = ivec2(floor(at));
  if (place.x < 0 || place.y < 0 || place.x >= int(size.x) || place.y >= int(size.y)) return 0u;
  return texelFetch(labels, place, 0).r;
}

vec4 styleOf(uint label) {
  return texelFetch(colours, ivec2(int(label & 255u), int(label >> 8)), 0);
}

void main() {
  vec2 place = vec2(gl_FragCoord.x, canvasHeight - gl_FragCoord.y);
  vec2 at = view.xy + place / view.z;
  if (at.x < 0.0 || at.y < 0.0 || at.x >= size.x || at.y >= size.y) {
    colour = vec4(0.0);
    return;
  }
  vec3 sum = vec3(0.0);
  for (int channel = 0; channel < 4; channel++) {
    if (channel >= count) break;
    vec2 bytes = texture(planes, vec3(at / size, float(channel))).rg;
    float value = (bytes.r + bytes.g * depthScale) * 255.0;
    vec2 range = windows[channel];
    sum += mixing[channel] * clamp((value - range.x) / max(range.y - range.x, 1e-3), 0.0, 1.0);
  }
  vec3 shown = min(sum, 1.0);
  uint label = labelAt(at);
  if (label > 0u) {
    vec4 style = styleOf(label);
    bool marked = label == hovered || label == chosen;
    if (style.a > 0.5 && (outlines || marked)) {
      float reach = thickness * (marked ? 2.2 : 1.0) / view.z;
      bool edge = false;
      if (float(texelFetch(depths, ivec2(floor(at)), 0).r) < reach + 1.0) { // else surely inside
        for (int turn = 0; turn < 8; turn++) {
          float angle = float(turn) * 0.785398;
          if (labelAt(at + reach * vec2(cos(angle), sin(angle))) != label) edge = true;
        }
      }
      if (edge) shown = mix(style.rgb, vec3(1.0), label == chosen ? 0.7 : marked ? 0.4 : 0.0);
      else if (label == hovered) shown = mix(shown, style.rgb, 0.15);
    }
  }
  colour = vec4(shown, 1.0);
}`;

export class GlRenderer {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.canvas = canvas;
    this.program = link(gl);
    gl.useProgram(this.program);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.textures = [];
    this.places = new Map(); // of the uniforms, by name
  }

  fits(picture) {
    const most = this.gl.getParameter(this.gl.MAX_TEXTURE_SIZE);
    return Math.max(picture.width, picture.height) <= most && picture.channels.length <= 4;
  }

  setPicture(picture) {
    const gl = this.gl;
    const { width, height, channels } = picture;
    const two = picture.depth === 16; // low and high byte, filtered apart, add up the same
    this.#texture(0, gl.TEXTURE_2D_ARRAY, gl.LINEAR_MIPMAP_LINEAR, gl.NEAREST);
    gl.texImage3D(
      gl.TEXTURE_2D_ARRAY, 0, two ? gl.RG8 : gl.R8, width, height, channels.length, 0,
      two ? gl.RG : gl.RED, gl.UNSIGNED_BYTE, new Uint8Array(picture.bytes));
    gl.generateMipmap(gl.TEXTURE_2D_ARRAY);
    this.picture = picture;
    this.setLabels(new Uint16Array(width * height));
    this.setColours(new Uint8Array(4));
    this.#set("size", "2f", width, height);
    this.#set("count", "1i", channels.length);
    this.#set("depthScale", "1f", two ? 256 : 0);
    for (const [name, unit] of [
      ["planes", 0], ["labels", 1], ["colours", 2], ["depths", 3]]) {
      this.#set(name, "1i", unit);
    }
  }

  setLabels(labels) {
    const gl = this.gl;
    this.#texture(1, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16UI, this.picture.width, this.picture.height, 0,
      gl.RED_INTEGER, gl.UNSIGNED_SHORT, labels);
    const { width, height } = this.picture;
    this.#texture(3, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8UI, width, height, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE,
      depthsOf(labels, width, height));
  }

  // four bytes for each label: red, green, blue, and 255 where it is shown
  setColours(colours) {
    const gl = this.gl;
    const rows = Math.max(1, Math.ceil(colours.length / 1024));
    const padded = new Uint8Array(rows * 1024);
    padded.set(colours);
    this.#texture(2, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, padded);
  }

  draw({ x, y, scale, outlines, hovered, chosen, ratio }) {
    const gl = this.gl;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    this.#set("canvasHeight", "1f", this.canvas.height);
    this.#set("view", "3f", x, y, scale);
    this.#set("outlines", "1i", outlines ? 1 : 0);
    this.#set("hovered", "1ui", hovered);
    this.#set("chosen", "1ui", chosen);
    this.#set("thickness", "1f", 1.5 * ratio);
    this.picture.channels.forEach((name, at) => {
      const on = this.picture.shown[at] ? 1 : 0;
      this.#set(`mixing[${at}]`, "3f", ...MIX[name].map((share) => share * on));
      this.#set(`windows[${at}]`, "2f", ...this.picture.windows[at]);
    });
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  #set(name, kind, ...values) {
    if (!this.places.has(name)) {
      this.places.set(name, this.gl.getUniformLocation(this.program, name));
    }
    this.gl[`uniform${kind}`](this.places.get(name), ...values);
  }

  #texture(unit, target, shrunk, enlarged) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0 + unit);
    if (this.textures[unit]) gl.deleteTexture(this.textures[unit]);
    this.textures[unit] = gl.createTexture();
    gl.bindTexture(target, this.textures[unit]);
    gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, shrunk);
    gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, enlarged);
    gl.texParameteri(target, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(target, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }
}

function link(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(gl.getProgramInfoLog(program) || "the shaders do not link");
  }
  return program;
}
