/** Reads what a Graphwire server says about a call that it refused. */

import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/**
 * Returns the reason, a name of the contract's `ErrorReason` such as "UNKNOWN_NODE": programs
 * branch on it, not on the text. Undefined if the error is not the server's own, for example
 * when it can't be reached.
 *
 * The trailer `grpc-status-details-bin` carries a `google.rpc.Status` whose details are messages
 * of several types. Connect has decoded the trailer; `findDetails` picks those of one type.
 */
export function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof ConnectError)) {
    return undefined;
  }
  return error.findDetails(ErrorInfoSchema).find((info) => info.domain === "graphwire.dev")?.reason;
}

/** Returns the error in one line: status, reason, text, and the fields that are wrong. */
export function describe(error: unknown): string {
  if (!(error instanceof ConnectError)) {
    return error instanceof Error ? error.message : String(error);
  }
  const reason = reasonOf(error);
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap((request) => request.fieldViolations)
    .map((violation) => violation.field);
  const where = fields.length > 0 ? ` (${fields.join(", ")})` : "";
  return `${Code[error.code]}${reason ? ` ${reason}` : ""}: ${error.rawMessage}${where}`;
}

/** Reads a stream that the server is expected to refuse, and returns the refusal. */
export async function rejectionOf(stream: AsyncIterable<unknown>): Promise<ConnectError> {
  try {
    for await (const _ of stream) {
      // Read on: a stream that is left early stays open.
    }
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("The server did not refuse the call.");
}
