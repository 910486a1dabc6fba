"""Python imports this at start, since `otel-posthog doctor -- COMMAND` puts its directory into PYTHONPATH."""

import importlib.util
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _here]
_own = sys.modules.pop("sitecustomize")
if importlib.util.find_spec("sitecustomize") is not None:  # the environment's own, which this one hides
    importlib.import_module("sitecustomize")
sys.modules.setdefault("sitecustomize", _own)

try:
    from otel_posthog.doctor.observer import observe_if_asked
except ImportError:
    pass  # another interpreter; the report says that nothing was observed
else:
    observe_if_asked()
