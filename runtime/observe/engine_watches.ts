/** Several that watch one engine. */

import type { EngineWatch } from "./engine_watch.ts";

/**
 * Makes one watch of several.
 *
 * @param watches Each of them, or `undefined` in the place of one that is not there.
 * @returns What tells them all, in this order; `undefined` where there is none.
 */
export function together(
  ...watches: readonly (EngineWatch | undefined)[]
): EngineWatch | undefined {
  const [first, ...others] = watches.filter((watch) => watch !== undefined);
  if (first === undefined) return undefined;
  return others.reduce((one, other) => new TeeWatch(one, other), first);
}

/** Hands on to two watches what it is told, as `tee` does. */
class TeeWatch implements EngineWatch {
  readonly timesSteps: boolean;
  readonly #one: EngineWatch;
  readonly #other: EngineWatch;

  constructor(one: EngineWatch, other: EngineWatch) {
    this.#one = one;
    this.#other = other;
    this.timesSteps = one.timesSteps || other.timesSteps;
  }

  stepBegins(...told: Parameters<EngineWatch["stepBegins"]>): void {
    this.#one.stepBegins(...told);
    this.#other.stepBegins(...told);
  }

  operated(...told: Parameters<EngineWatch["operated"]>): void {
    this.#one.operated(...told);
    this.#other.operated(...told);
  }

  stepEnds(...told: Parameters<EngineWatch["stepEnds"]>): void {
    this.#one.stepEnds(...told);
    this.#other.stepEnds(...told);
  }

  sent(...told: Parameters<EngineWatch["sent"]>): void {
    this.#one.sent(...told);
    this.#other.sent(...told);
  }

  waited(...told: Parameters<EngineWatch["waited"]>): void {
    this.#one.waited(...told);
    this.#other.waited(...told);
  }

  asked(...told: Parameters<EngineWatch["asked"]>): void {
    this.#one.asked(...told);
    this.#other.asked(...told);
  }

  answered(...told: Parameters<EngineWatch["answered"]>): void {
    this.#one.answered(...told);
    this.#other.answered(...told);
  }

  deskAsked(...told: Parameters<EngineWatch["deskAsked"]>): void {
    this.#one.deskAsked(...told);
    this.#other.deskAsked(...told);
  }

  deskAnswered(...told: Parameters<EngineWatch["deskAnswered"]>): void {
    this.#one.deskAnswered(...told);
    this.#other.deskAnswered(...told);
  }

  callMade(...told: Parameters<EngineWatch["callMade"]>): void {
    this.#one.callMade(...told);
    this.#other.callMade(...told);
  }

  callEnded(...told: Parameters<EngineWatch["callEnded"]>): void {
    this.#one.callEnded(...told);
    this.#other.callEnded(...told);
  }

  serviceBegun(...told: Parameters<EngineWatch["serviceBegun"]>): void {
    this.#one.serviceBegun(...told);
    this.#other.serviceBegun(...told);
  }

  serviceEnded(...told: Parameters<EngineWatch["serviceEnded"]>): void {
    this.#one.serviceEnded(...told);
    this.#other.serviceEnded(...told);
  }

  peerGone(...told: Parameters<EngineWatch["peerGone"]>): void {
    this.#one.peerGone(...told);
    this.#other.peerGone(...told);
  }
}
