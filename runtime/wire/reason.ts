/**
 * Why bytes are not a frame: a name for programs, a sentence for people.
 */

/** What is wrong with a frame, as a stable word. The list only grows. */
export type FrameReason =
  /** The bytes do not begin like a frame: the other side is not a node. */
  | "BadMagic"
  /** The other side speaks another version. */
  | "BadVersion"
  /** No frame, but the preamble of a node that has a key, where this side has none. */
  | "KeyExpected"
  /** The header is not as it was sent. */
  | "HeaderChecksumMismatch"
  /** The list, name or body behind the header is not as it was sent. */
  | "BodyChecksumMismatch"
  /** The page bytes, arguments or result behind the frame are not as they were sent. */
  | "PayloadChecksumMismatch"
  /** No message has this type. */
  | "UnknownType"
  /** A frame of another type than control, where the region is not known, or none is used. */
  | "NotControl"
  /** The frame is shorter than its header, or longer than any of its type may be. */
  | "LengthOutOfBounds"
  /** The length is not what the header says: of its list, or of its name. */
  | "LengthMismatch"
  /** Neither read nor write. */
  | "UnknownAccess"
  /** No content of this type of message. */
  | "UnknownContent"
  /** The page bytes are packed in a way that this version does not know. */
  | "UnknownEncoding"
  /** A byte that is to be zero in this version is not. */
  | "ReservedNotZero"
  /** A field that this type of message does not use is not zero. */
  | "UnusedFieldNotZero"
  /** A run of no pages. */
  | "RunEmpty"
  /** A run of more pages than the cluster moves at once. */
  | "RunTooLong"
  /** A run that begins or ends beyond the region's last page. */
  | "RunOutOfRegion"
  /** A number that no node can have. */
  | "NodeOutOfBounds"
  /** The page bytes announced are not those of the run. */
  | "PayloadMismatch"
  /** No operation on a semaphore, a barrier or a mutex. */
  | "SyncOperationUnknown"
  /** No result of such an operation. */
  | "SyncStatusUnknown"
  /** Nothing that is said in a barrier's tree. */
  | "SyncStepUnknown"
  /** A count of permits or parties that there cannot be. */
  | "SyncCountOutOfBounds"
  /** A name that is not UTF-8. */
  | "SyncNameInvalid"
  /** A procedure's name is not UTF-8. */
  | "RpcNameInvalid"
  /** More arguments, or a longer result, than a remote call carries. */
  | "RpcPayloadTooLong"
  /** A ping that is not numbered. */
  | "PingWithoutNumber"
  /** A ping with more threads than a node has places for. */
  | "PingThreadsOutOfBounds"
  /** The body of a control message is not one map of MessagePack. */
  | "ControlNotMap"
  /** A control message without a kind that this version knows. */
  | "ControlKindUnknown"
  /** A field that this kind of control message must have is missing. */
  | "ControlFieldMissing"
  /** A field that this kind of control message does not have. */
  | "ControlFieldUnknown"
  /** A field of a control message with a value that it cannot have. */
  | "ControlFieldInvalid";

/** Bytes that are not of the protocol. */
export interface Malformed {
  readonly kind: "malformed";
  /** What is wrong. */
  readonly reason: FrameReason;
  /** The value that is wrong, or the name of the field of a control message that is. */
  readonly detail: number | string;
}

/**
 * Makes the result of a decoder that found something wrong.
 *
 * @param reason What is wrong.
 * @param detail The value or the field.
 * @returns The result.
 */
export function malformed(reason: FrameReason, detail: number | string): Malformed {
  return { kind: "malformed", reason, detail };
}

const TEXTS: Readonly<Record<FrameReason, string>> = {
  BadMagic: "does not begin with the protocol's mark, so it is not from a node",
  BadVersion: "is of another protocol version; run the same release on every node",
  KeyExpected: "is the beginning of a handshake with a key",
  HeaderChecksumMismatch: "has arrived with other bytes in its header than it was sent with",
  BodyChecksumMismatch: "has arrived with other bytes than it was sent with",
  PayloadChecksumMismatch: "has arrived with other bytes behind it than it was sent with",
  UnknownType: "has an unknown type",
  NotControl: "is no control frame, where no other may come",
  LengthOutOfBounds: "has a length out of bounds",
  LengthMismatch: "has a length that does not match its header",
  UnknownAccess: "has an unknown access",
  UnknownContent: "has an unknown content",
  UnknownEncoding: "has an unknown encoding of its page bytes",
  ReservedNotZero: "has a reserved byte that is not zero",
  UnusedFieldNotZero: "has a value in a field that its type does not use",
  RunEmpty: "has a run of no pages",
  RunTooLong: "has a run of more pages than may be moved at once",
  RunOutOfRegion: "has a run that leaves the region",
  NodeOutOfBounds: "names a node that cannot exist",
  PayloadMismatch: "announces page bytes that do not match its run",
  SyncOperationUnknown: "has an unknown operation of synchronisation",
  SyncStatusUnknown: "has an unknown result of synchronisation",
  SyncStepUnknown: "has an unknown step of a barrier's tree",
  SyncCountOutOfBounds: "has a count of permits or parties out of bounds",
  SyncNameInvalid: "has a name that is not UTF-8",
  RpcNameInvalid: "has a procedure's name that is not UTF-8",
  RpcPayloadTooLong: "announces more bytes than a remote call carries",
  PingWithoutNumber: "is a ping without a number",
  PingThreadsOutOfBounds: "is a ping with more threads than a node can have",
  ControlNotMap: "has a body that is not one map of MessagePack",
  ControlKindUnknown: "has an unknown kind of control message",
  ControlFieldMissing: "has a control message with a field missing",
  ControlFieldUnknown: "has a control message with an unknown field",
  ControlFieldInvalid: "has a control message with a field out of bounds",
};

/** Whether bytes were changed on their way, so that no node is to blame. */
export function isDamage(reason: FrameReason): boolean {
  return reason.endsWith("ChecksumMismatch");
}

/** Every reason there is. */
export const FRAME_REASONS: readonly FrameReason[] = Object.keys(TEXTS) as FrameReason[];

/**
 * Says what is wrong with a frame.
 *
 * @param reason The name that the decoder gave.
 * @param detail The value or field that it gave, to be named too.
 * @returns A sentence without a full stop.
 */
export function describeFrameReason(reason: FrameReason, detail?: number | string): string {
  const text = `Frame ${TEXTS[reason]}`;
  return detail === undefined ? text : `${text}: ${detail}`;
}
