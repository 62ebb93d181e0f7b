import { assertEquals } from "@std/assert";
import { SYNC_LIMITS, SyncDesk, Waiter, WaitPlace } from "./desk.ts";

class Place extends WaitPlace<string> {
  busy = true;

  protected override get label(): { kind: "mutex"; name: string } {
    return { kind: "mutex", name: this.key };
  }

  protected override get isIdle(): boolean {
    return !this.busy;
  }
}

function newPlace(places = new Map<string, Place>()): Place {
  const desk = new SyncDesk({ reply() {}, tell() {}, violation() {} }, SYNC_LIMITS);
  desk.admit(1, true);
  return new Place("a", places, desk, 1);
}

function tickets(place: Place): number[] {
  const found: number[] = [];
  for (let waiter = place.waiting.first; waiter; waiter = waiter.next) found.push(waiter.ticket);
  return found;
}

Deno.test("Waiter: when one leaves a queue, the others stay in order", () => {
  for (const left of [[1, 2, 3, 4], [4, 3, 2, 1], [2, 3, 1, 4], [3, 1, 4, 2]]) {
    const place = newPlace();
    const waiters = [1, 2, 3, 4].map((ticket) => new Waiter(1, ticket, place));
    for (const waiter of waiters) place.waiting.push(waiter);
    let expected = [1, 2, 3, 4];
    for (const ticket of left) {
      place.waiting.remove(waiters[ticket - 1]!);
      expected = expected.filter((other) => other !== ticket);
      assertEquals(tickets(place), expected);
      assertEquals(place.waiting.length, expected.length);
    }
    place.waiting.push(waiters[2]!);
    assertEquals(tickets(place), [3]);
  }
});

Deno.test("SyncDesk: a place is forgotten when no request waits and it is idle, and not before", () => {
  const places = new Map<string, Place>();
  const place = newPlace(places);
  const waiter = new Waiter(1, 1, place);
  place.waiting.push(waiter);
  place.settle();
  place.busy = false;
  place.settle();
  assertEquals([...places.keys()], ["a"]);
  place.waiting.remove(waiter);
  place.busy = true;
  place.settle();
  assertEquals([...places.keys()], ["a"]);
  place.busy = false;
  place.settle();
  assertEquals(places.size, 0);
});
