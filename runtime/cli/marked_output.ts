/**
 * What a node on another machine prints, with words for the launcher among it: the one stream that
 * leads from there has both.
 */

import { LAUNCH_WORD_MAX_BYTES } from "../limits.ts";
import { WORD_MARK } from "../engine/turn.ts";

const NEWLINE = 10;

/** Takes the words for the launcher out of a stream, and passes the rest on as it is. */
export class MarkedOutput extends TransformStream<Uint8Array, Uint8Array> {
  /**
   * @param secret Stands before each word, behind {@linkcode WORD_MARK}; the word ends with its
   * line.
   * @param heard Called with each word.
   * @param ended Called when the stream has ended.
   */
  constructor(secret: string, heard: (word: string) => void, ended: () => void = () => {}) {
    const mark = new TextEncoder().encode(`${WORD_MARK}${secret} `);
    let rest = new Uint8Array();
    super({
      transform(bytes, controller) {
        rest = concatenate(rest, bytes);
        for (;;) {
          const start = indexOf(rest, mark);
          if (start > 0) controller.enqueue(rest.slice(0, start));
          rest = rest.slice(start);
          if (rest.length < mark.length) return;
          const end = rest.indexOf(NEWLINE);
          if (end < 0 && rest.length < LAUNCH_WORD_MAX_BYTES) return;
          // What has no end is no word.
          if (end >= 0) heard(new TextDecoder().decode(rest.subarray(mark.length, end)));
          rest = rest.slice(end < 0 ? rest.length : end + 1);
        }
      },
      flush(controller) {
        if (rest.length > 0) controller.enqueue(rest);
        ended();
      },
    });
  }
}

/** Where some bytes begin in others, or the part of them that the others end with. */
function indexOf(bytes: Uint8Array, sought: Uint8Array): number {
  for (let at = bytes.indexOf(sought[0]!); at >= 0; at = bytes.indexOf(sought[0]!, at + 1)) {
    const part = bytes.subarray(at, at + sought.length);
    if (part.every((byte, index) => byte === sought[index])) return at;
  }
  return bytes.length;
}

function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
