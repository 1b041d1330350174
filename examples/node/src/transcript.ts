/** Prints what happens in a run: events line by line, messages piece by piece. */

import { MessageRole, type MessageEvent } from "./gen/graphwire/v1/run_event_pb.js";

export class Transcript {
  /** The text of the last message of the model; empty if there was none. */
  answer = "";
  readonly #roles = new Map<string, MessageRole>();
  /** The message whose line is still open. */
  #open = "";

  /** Prints an event. */
  line(kind: string, text: string): void {
    this.#begin(kind);
    process.stdout.write(`${text}\n`);
    this.#open = "";
  }

  /** Prints a piece of a message, on the line of its message. */
  message(event: MessageEvent): void {
    const id = event.messageId;
    if (event.start) {
      // What stays the same comes with the first piece only.
      this.#roles.set(id, event.start.role);
    }
    const role = this.#roles.get(id) ?? MessageRole.UNSPECIFIED;
    const text = event.content.map((c) => (c.piece.case === "text" ? c.piece.value : "")).join("");
    if (role === MessageRole.ASSISTANT) {
      this.answer = (event.start ? "" : this.answer) + text;
    }
    if (text === "") {
      return; // a piece of a tool call, which the update has whole, or the count of tokens
    }
    if (this.#open !== id) {
      this.#begin(MessageRole[role].toLowerCase());
      this.#open = id;
    }
    process.stdout.write(text);
  }

  #begin(label: string): void {
    process.stdout.write(`${this.#open === "" ? "" : "\n"}  ${label.padEnd(13)}`);
  }
}
