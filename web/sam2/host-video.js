/** The worker's side of videos: the engine's calls, and the frames that it asks the page for. */
import { Sam2Error, errorFromPlain } from './errors.js';
import { pixelsFromPicture } from './picture.js';

/** @typedef {import('./engine.d.ts').Engine} Engine */
/** @typedef {import('./engine.d.ts').EngineModule} EngineModule */
/** @typedef {import('./protocol.js').RequestMessage} RequestMessage */
/** @typedef {import('./protocol.js').RequestTable} RequestTable */
/** @typedef {import('./protocol.js').Picture} Picture */
/** @typedef {import('./protocol.js').FromWorker} FromWorker */
/** @typedef {{ engine: Engine, module: EngineModule, decode: import('./picture.js').Decode, transfer: Transferable[] }} Context */

export class VideoHost {
  /** @type {(message: FromWorker) => void} */
  #post;
  #nextAsk = 1;
  /** Frames under way from the page. @type {Map<number, { resolve: (picture: Picture) => void, reject: (error: Error) => void }>} */
  #asked = new Map();

  /** @param {(message: FromWorker) => void} post */
  constructor(post) {
    this.#post = post;
  }

  /** @param {import('./protocol.js').FrameAnswer} answer */
  receive({ ask, picture, error }) {
    const waiting = this.#asked.get(ask);
    this.#asked.delete(ask);
    if (picture !== undefined) waiting?.resolve(picture);
    else waiting?.reject(errorFromPlain(error ?? { code: 'unsupported_video', message: 'the page gave no frame', hint: '' }));
  }

  /**
   * @param {RequestMessage} message
   * @param {Context} context
   * @returns {Promise<unknown>} the reply of this type in the message table
   */
  async handle(message, { engine, module, decode, transfer }) {
    switch (message.type) {
      case 'openVideo': return this.#open(message.body, engine, decode);
      case 'videoPrompt': return JSON.parse(await engine.video_add(message.body.video, JSON.stringify(message.body.prompt)));
      case 'videoMask': return JSON.parse(await engine.video_add_mask(message.body.video, JSON.stringify(message.body.prompt)));
      case 'videoRemove': return JSON.parse(engine.video_remove_object(message.body.video, message.body.object));
      case 'videoClear': return JSON.parse(engine.video_clear(message.body.video, message.body.frame, message.body.object));
      case 'videoReset': {
        engine.video_reset(message.body.video);
        return null;
      }
      case 'videoSnap': {
        engine.video_set_snap(message.body.video, message.body.on);
        return null;
      }
      case 'startPass': return JSON.parse(engine.video_start_pass(message.body.video, JSON.stringify(message.body.pass)));
      case 'nextFrame': {
        const frame = await engine.video_next(message.body.video);
        return frame === undefined ? null : JSON.parse(frame);
      }
      case 'pushFrame': {
        const { rgba, width, height } = await pixelsFromPicture(message.body.picture, decode);
        return JSON.parse(await engine.video_push(message.body.video, rgba, width, height));
      }
      case 'videoPicture': {
        const picture = await engine.video_picture(message.body.video, message.body.frame);
        const { width, height, rgba } = picture;
        picture.free?.();
        transfer.push(/** @type {ArrayBuffer} */ (rgba.buffer));
        return { width, height, rgba: rgba.buffer };
      }
      case 'videoLowRes': return engine.video_low_res(message.body.video, message.body.frame, message.body.object) ?? null;
      case 'videoStats': return JSON.parse(engine.video_stats(message.body.video));
      case 'closeVideo': {
        engine.close_video(message.body.video);
        return null;
      }
      case 'trace': {
        const [height, width] = message.body.size;
        return JSON.parse(module.trace_rle(height, width, message.body.counts));
      }
      default: throw new Sam2Error('bad_setting', `The request ${message.type} is not known.`, 'Use one version of the package on both sides.');
    }
  }

  /** @param {RequestTable['openVideo']['body']} body @param {Engine} engine @param {import('./picture.js').Decode} decode */
  async #open({ source, maxDimension, maxFrames, correctionsStand, snap }, engine, decode) {
    const options = { corrections_stand: correctionsStand, snap };
    if (source.kind === 'live') return JSON.parse(engine.open_live(JSON.stringify({ width: source.width, height: source.height, options })));
    if (source.kind === 'animation') {
      const bytes = new Uint8Array(await source.blob.arrayBuffer());
      return JSON.parse(engine.open_animation(bytes, JSON.stringify({ max_dimension: maxDimension, max_frames: maxFrames, options })));
    }
    const { reader, frames, width, height } = source;
    // The engine is lent to the call that waits for a frame; decoding needs no more than the module.
    const read = async (/** @type {number} */ index) => pixelsFromPicture(await this.#ask(reader, index), decode);
    return JSON.parse(engine.open_video(JSON.stringify({ frames, width, height, max_dimension: maxDimension, options }), read));
  }

  /** @param {number} reader @param {number} index @returns {Promise<Picture>} */
  #ask(reader, index) {
    const ask = this.#nextAsk;
    this.#nextAsk += 1;
    return new Promise((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      this.#post({ kind: 'wanted', ask, reader, index });
    });
  }
}
