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

/** A decoded picture in the module's memory; `rgba` is a copy. */
export interface RgbaImage {
  width: number;
  height: number;
  /** [H, W, 4] */
  rgba: Uint8Array;
  free?: () => void;
}

export interface Engine {
  device(): 'webgpu' | 'cpu';
  device_info(): string;
  load_model(bytes: Uint8Array, options: string, onProgress: (stage: string, done: number, total: number) => void): Promise<string>;
  /** As set_image; the picture is used up. */
  set_decoded(picture: RgbaImage, onProgress: (stage: string, done: number, total: number) => void): Promise<string>;
  set_image(rgba: Uint8Array, width: number, height: number, onProgress: (stage: string, done: number, total: number) => void): Promise<string>;
  predict(image: number, prompt: string): Promise<Prediction>;
  drop_image(image: number): void;
  encodes(): number;
  /** JSON in and out; `read` gives a frame's pixels. */
  open_video(options: string, read: (index: number) => Promise<{ rgba: Uint8Array; width: number; height: number }>): string;
  open_animation(bytes: Uint8Array, options: string): string;
  open_live(options: string): string;
  video_add(video: number, prompt: string): Promise<string>;
  video_add_mask(video: number, prompt: string): Promise<string>;
  video_remove_object(video: number, object: number): string;
  video_clear(video: number, frame: number, object: number): string;
  video_reset(video: number): void;
  video_set_snap(video: number, on: boolean): void;
  video_start_pass(video: number, options: string): string;
  video_next(video: number): Promise<string | undefined>;
  video_push(video: number, rgba: Uint8Array, width: number, height: number): Promise<string>;
  video_picture(video: number, frame: number): Promise<RgbaImage>;
  video_low_res(video: number, frame: number, object: number): Float32Array | undefined;
  video_stats(video: number): string;
  close_video(video: number): void;
}

export interface EngineModule {
  /** wasm-bindgen's init: an address, a response or the bytes of the wasm file. */
  default(input: { module_or_path: string | URL | Response | BufferSource | WebAssembly.Module }): Promise<unknown>;
  Engine: { create(device: 'auto' | 'cpu' | 'webgpu', onLog: (level: string, text: string) => void): Promise<Engine> };
  decode_image(bytes: Uint8Array): RgbaImage;
  /** Bytes of the last allocation that could not be had since the last call; also after a trap. */
  take_refused_bytes?(): number;
  /** Bytes of the module's memory, which never shrinks. */
  memory_bytes?(): number;
  /** JSON: area, bbox, svg, polygons. */
  trace_rle(height: number, width: number, counts: string): string;
}
