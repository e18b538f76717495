"""Makes poison of recordings: at a certain packet FFmpeg "fails", and takes all along.

Python imports this at its start when the folder is on PYTHONPATH. A file is poison if its name has
``crash``, ``hang`` or ``kill`` in it, where the packet of ``POISON_PTS_S`` is decoded; with
``probe`` in it as well, where that packet is merely read. Each death adds a line to
``POISON_LOG``: the name of the file and the time of the packet.
"""

import ctypes
import importlib.abc
import importlib.util
import os
import signal
import sys

PTS_S = float(os.environ.get("POISON_PTS_S", "nan"))
TOLERANCE_S = 0.01


def _crash():
    ctypes.string_at(0)


def _hang():
    ctypes.PyDLL(None).sleep(600)  # unlike CDLL it keeps the interpreter's lock


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


DEATHS = {"crash": _crash, "hang": _hang, "kill": _kill}


def _die(name, pts_s):
    with open(os.environ["POISON_LOG"], "a") as log:  # noqa: PTH123 - this runs in all of Ray
        log.write(f"{name} {pts_s:.3f}\n")
    for word, die in DEATHS.items():
        if word in name:
            die()


class _Wrapped:
    """Stands for an object; what is not changed here is the object's."""

    def __init__(self, wrapped, name):
        object.__setattr__(self, "_wrapped", wrapped)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name):
        return getattr(self._wrapped, name)

    def __setattr__(self, name, value):
        setattr(self._wrapped, name, value)


class _Packet(_Wrapped):
    def decode(self):
        _die(self._name, float(self._wrapped.pts * self._wrapped.time_base))


class _Container(_Wrapped):
    def __enter__(self):
        self._wrapped.__enter__()
        return self

    def __exit__(self, *error):
        return self._wrapped.__exit__(*error)

    def demux(self, *streams):
        for packet in self._wrapped.demux(*streams):
            is_poison = (
                packet.pts is not None
                and abs(float(packet.pts * packet.time_base) - PTS_S) < TOLERANCE_S
            )
            if is_poison and "probe" in self._name:
                _die(self._name, float(packet.pts * packet.time_base))
            yield _Packet(packet, self._name) if is_poison else packet


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps ``av.open`` once the package is imported, which most processes of Ray never do."""

    def find_spec(self, name, path, target=None):  # noqa: ARG002 - what Python asks with
        if name != "av":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_wrap(module):
            execute(module)
            module.open = _wrapping(module.open)

        spec.loader.exec_module = execute_and_wrap
        return spec


def _wrapping(open_container):
    def open_(file, *arguments, **settings):
        container = open_container(file, *arguments, **settings)
        name = os.path.basename(str(file))  # noqa: PTH119 - as above
        return _Container(container, name) if any(word in name for word in DEATHS) else container

    return open_


if "POISON_LOG" in os.environ:
    sys.meta_path.insert(0, _Finder())
