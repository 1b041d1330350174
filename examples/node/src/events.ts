/** Reads the typed events of a run. */

import { PauseKind, type Pause } from "./gen/graphwire/v1/pause_pb.js";
import type { Payload } from "./gen/graphwire/v1/payload_pb.js";
import { RunStatus } from "./gen/graphwire/v1/run_pb.js";
import type { JoinRunResponse, StreamRunResponse } from "./gen/graphwire/v1/runs_pb.js";
import { Transcript } from "./transcript.js";

/** A call of a tool, as LangChain writes it. */
export interface ToolCall {
  id: string;
  name: string;
  args: Record<string, unknown>;
}

/** How a run ended. */
export interface Outcome {
  status: RunStatus;
  /** Why it is paused; empty unless it is INTERRUPTED. */
  pauses: Pause[];
  /** Where it stands; pass it as expected_checkpoint_id to go on from there only. */
  checkpointId: string;
  /** The tool calls in the nodes' updates. */
  toolCalls: ToolCall[];
  /** The text of the last message of the model; empty if there was none. */
  answer: string;
}

/** Reads the events of a run to its end, and prints them. */
export async function follow(
  stream: AsyncIterable<StreamRunResponse | JoinRunResponse>,
): Promise<Outcome> {
  const outcome: Outcome = {
    status: RunStatus.UNSPECIFIED,
    pauses: [],
    checkpointId: "",
    toolCalls: [],
    answer: "",
  };
  const transcript = new Transcript();
  for await (const { event } of stream) {
    const happened = event?.event;
    switch (happened?.case) {
      case "metadata":
        transcript.line("metadata", `run ${happened.value.runId}`);
        break;
      case "message":
        transcript.message(happened.value);
        break;
      case "updates": {
        const { node, update } = happened.value;
        const calls = toolCallsIn(update);
        outcome.toolCalls.push(...calls);
        transcript.line("updates", [`from ${node}`, ...calls.map(format)].join(": "));
        break;
      }
      case "interrupted":
        outcome.pauses = happened.value.pauses;
        for (const pause of outcome.pauses) {
          transcript.line("interrupted", `${PauseKind[pause.kind]} ${pause.node}`);
        }
        break;
      case "end": {
        const { status, error, checkpointId } = happened.value;
        outcome.status = status;
        outcome.checkpointId = checkpointId;
        const why = error ? ` ${error.type}: ${error.message}` : "";
        transcript.line("end", RunStatus[status] + why);
        break;
      }
      default: // a heartbeat, or a kind that is newer than this program
        break;
    }
  }
  outcome.answer = transcript.answer;
  return outcome;
}

function format(call: ToolCall): string {
  return `${call.name}(${JSON.stringify(call.args)})`;
}

/** Returns the tool calls of the messages that a node returned. */
function toolCallsIn(update: Payload | undefined): ToolCall[] {
  if (update?.form.case !== "json") {
    return [];
  }
  const value: { messages?: { tool_calls?: ToolCall[] }[] } | null = JSON.parse(update.form.value);
  return (value?.messages ?? []).flatMap((message) => message.tool_calls ?? []);
}
