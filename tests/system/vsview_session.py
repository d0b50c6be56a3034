"""Opens a script in vsview, jumps to frames, loads it anew, and leaves: in the process of vsview, as a user would.

    vsview_session.py SCRIPT PICTURE [NAME=VALUE ...] -- FRAME...

Prints the frames that vsview shows, and those that begin the windows which it makes the engine compute. PICTURE is what
the window looks like at the end.
"""

import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from vs_vrt.filters.restoration import Restoration
from vsview import cli
from vsview.app.main import MainWindow

script, picture, *others = sys.argv[1:]
variables, frames = others[: others.index("--")], others[others.index("--") + 1 :]
restore_window = Restoration.restore_window
load_new_script = MainWindow.load_new_script


def noting(self: Restoration, node: int, begin: int, *others: object) -> object:
    print("window", begin, flush=True)
    return restore_window(self, node, begin, *others)


def load(self: MainWindow, path: Path, **variables: str) -> object:
    button, loaded = load_new_script(self, path, **variables)
    workspace, left = button.workspace, [int(n) for n in frames]

    def step() -> None:
        """One thing after the other: what was asked for before has to be on the screen."""
        if not loaded.done() or not workspace.playback.can_reload:
            return
        print("shows", workspace.playback.state.current_frame, flush=True)
        if left:
            workspace.playback.request_frame(left.pop(0))
            return
        timer.stop()
        QTimer.singleShot(2000, leave)

    def leave() -> None:
        self.grab().save(picture)
        sys.stdout.flush()
        self.close()

    timer = QTimer(self)
    timer.timeout.connect(step)
    timer.start(1500)
    return button, loaded


Restoration.restore_window = noting
MainWindow.load_new_script = load
sys.argv[1:] = ["--no-settings", *(word for each in variables for word in ("-a", each)), script]
cli.app.meta()
