/**
 * Graphwire from TypeScript: run the assistant "agent" until it is about to run the node "action",
 * look at what it is about to do, and go on from there.
 *
 * The exit code is 0 only if all of that was seen.
 */

import { randomUUID } from "node:crypto";

import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { describe, reasonOf, rejectionOf } from "./errors.js";
import { follow } from "./events.js";
import { PauseKind } from "./gen/graphwire/v1/pause_pb.js";
import { RunStatus, StreamMode } from "./gen/graphwire/v1/run_pb.js";
import { Runs } from "./gen/graphwire/v1/runs_pb.js";
import { Threads } from "./gen/graphwire/v1/threads_pb.js";

const QUESTION = "What is the weather in San Francisco?";
const ASSISTANT = "agent";
const NODE = "action";

/** `host:port` without TLS, or a whole address such as `https://graphwire.example:443`. */
const target = process.argv[2] ?? process.env["GRAPHWIRE_TARGET"] ?? "127.0.0.1:50051";

async function howTo(): Promise<void> {
  const baseUrl = target.includes("://") ? target : `http://${target}`;
  // A deadline ends the call, not the run: a run can be joined again with JoinRun.
  const transport = createGrpcTransport({ baseUrl, defaultTimeoutMs: 60_000 });
  const threads = createClient(Threads, transport);
  const runs = createClient(Runs, transport);
  // Payloads are JSON: no number is rounded, and the keys keep their order.
  const input = { messages: [{ role: "user", content: QUESTION }] };
  const payload = { form: { case: "json", value: JSON.stringify(input) } } as const;
  const start = { case: "input", value: payload } as const;

  // With a request_id a call can be repeated safely when its answer was lost.
  const { thread } = await threads.createThread({ requestId: randomUUID() });
  const threadId = thread?.threadId ?? "";
  console.log(`Thread ${threadId}`);

  heading(`A breakpoint before "acton", which is no node`);
  const refused = await rejectionOf(
    runs.streamRun({ threadId, assistantId: ASSISTANT, start, interruptBefore: ["acton"] }),
  );
  console.log(describe(refused));
  expect(reasonOf(refused) === "UNKNOWN_NODE", "the misspelt breakpoint is an UNKNOWN_NODE");

  heading(`A run with a breakpoint before "${NODE}"`);
  const paused = await follow(
    runs.streamRun({
      threadId,
      assistantId: ASSISTANT,
      start,
      interruptBefore: [NODE],
      streamModes: [StreamMode.MESSAGES, StreamMode.UPDATES],
      requestId: randomUUID(),
    }),
  );
  expect(paused.status === RunStatus.INTERRUPTED, "the run is interrupted");
  expect(
    paused.pauses.some((p) => p.kind === PauseKind.BREAKPOINT_BEFORE && p.node === NODE),
    `the run stands before "${NODE}"`,
  );
  expect(paused.toolCalls.length > 0, "the update of the agent has a tool call");

  heading("Going on from there");
  const finished = await follow(
    runs.streamRun({
      threadId,
      // Approves what was seen, and only that: refused if the thread has moved on since.
      start: { case: "resume", value: { expectedCheckpointId: paused.checkpointId } },
      // Breakpoints and stream modes are those of the run that paused.
      requestId: randomUUID(),
    }),
  );
  expect(finished.status === RunStatus.SUCCEEDED, "the run succeeds");
  expect(finished.answer !== "", "the agent answers");
  console.log(`\nAnswer: ${finished.answer}`);
}

function heading(text: string): void {
  console.log(`\n${text}`);
}

function expect(holds: boolean, what: string): void {
  if (!holds) {
    throw new Error(`Expected that ${what}.`);
  }
}

try {
  await howTo();
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}
