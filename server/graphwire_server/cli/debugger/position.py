"""Commands that say where a thread stands."""

from __future__ import annotations

from graphwire.enums import PauseKind, ThreadStatus
from graphwire.values import Pause
from rich.padding import Padding
from rich.text import Text

from graphwire_server.cli.debugger import screen
from graphwire_server.cli.debugger.commands import GoOn, nothing_after
from graphwire_server.cli.debugger.scene import Scene
from graphwire_server.cli.pauses import sent, where


class Position:
    """Says where the thread stands, in full or as at the pause."""

    def __init__(self, scene: Scene) -> None:
        """Acts on a scene."""
        self._scene = scene

    def tell(self, rest: str) -> GoOn | None:
        """Says where the thread stands, and why."""
        nothing_after(rest)
        scene, console = self._scene, self._scene.console
        scene.look(scene.thread_id)
        standing = scene.standing
        rows: list[tuple[str, str]] = [
            ("thread", f"{standing.thread.thread_id}  {standing.thread.status.lower()}"),
            ("assistant", standing.assistant_id),
        ]
        if standing.run is not None:
            rows.append(("run", f"{standing.run.run_id}  {standing.run.status.lower()}"))
        step = (standing.state.metadata or {}).get("step")
        at_step = "" if step is None else f"  step {step}"
        rows += [
            ("checkpoint", f"{standing.state.checkpoint_id or 'none'}{at_step}"),
            ("next", ", ".join(standing.state.next) or "nothing"),
        ]
        for name, value in rows:
            console.print(Text.assemble((name.ljust(12), "dim"), value), soft_wrap=True)
        if standing.pauses:
            console.print()
        for number, pause in enumerate(standing.pauses, 1):
            chosen = "" if pause in scene.selected_pauses() else "  not in use"
            console.print(
                Text.assemble(
                    (f"{number} {screen.sign(pause)} {where(pause)}", "bold yellow"),
                    (f"  {_kind(pause)}{chosen}", "dim"),
                )
            )
            console.print(Text(f"    pause {pause.pause_id}", style="dim"), soft_wrap=True)
            kept = screen.kept_answer(pause, scene.verdicts)
            for row in [*sent(pause), *screen.reasons(pause, all_sources=True), *kept]:
                console.print(Padding(row, (0, 0, 0, 4), expand=False))
        return None

    def show(self, rest: str) -> GoOn | None:
        """Shows the pause again, or the run that others have set going meanwhile."""
        nothing_after(rest)
        self._scene.look(self._scene.thread_id)
        if self._scene.standing.thread.status is ThreadStatus.BUSY:
            return GoOn(watches=True)
        self._scene.show()
        return None


def _kind(pause: Pause) -> str:
    match pause.kind:
        case PauseKind.INTERRUPT:
            return "a question"
        case PauseKind.PAUSE:
            return "a step, an edit, or a pause that was asked for"
        case PauseKind.BREAKPOINT_AFTER | PauseKind.BREAKPOINT_BEFORE:
            return "a breakpoint"
    return ""
