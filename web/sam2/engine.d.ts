/** The surface of crates/sam2-wasm as wasm-bindgen writes it (target web). */

export interface Prediction {
  count(): number;
  iou(index: number): number;
  /** Pixels of the mask in the oriented picture. */
  area(index: number): number;
  /** x, y, w, h. */
  bbox(index: number): Uint32Array;
  /** [H, W], row by row, 0 or 1. */
  mask(index: number): Uint8Array;
  /** JSON: {"size": [h, w], "counts": "..."} as COCO writes it. */
  rle(index: number): string;
  /** [S/4, S/4] logits. */
  low_res(index: number): Float32Array;
  /** A handle for `mask_id` in a later prompt. */
  mask_id(index: number): number;
  /** JSON: [{"outer": [[x, y]..], "holes": [..]}] in image pixels. */
  polygons(index: number): string;
  /** The path data of an SVG `d` attribute in image pixels. */
  svg(index: number): string;
  decode_ms(): number;
  free(): void;
}

export interface Engine {
  device(): 'webgpu' | 'cpu';
  device_info(): string;
  load_model(bytes: Uint8Array, options: string, onProgress: (stage: string, done: number, total: number) => void): Promise<string>;
  set_image(rgba: Uint8Array, width: number, height: number, onProgress: (stage: string, done: number, total: number) => void): Promise<string>;
  predict(image: number, prompt: string): Promise<Prediction>;
  drop_image(image: number): void;
}

export interface EngineModule {
  /** wasm-bindgen's init: an address, a response or the bytes of the wasm file. */
  default(input: { module_or_path: string | URL | Response | BufferSource | WebAssembly.Module }): Promise<unknown>;
  Engine: { create(device: 'auto' | 'cpu' | 'webgpu', onLog: (level: string, text: string) => void): Promise<Engine> };
  decode_image(bytes: Uint8Array): { width: number; height: number; rgba: Uint8Array; free?: () => void };
}
