"""What servers send, decoded: HTTP's chunks, snappy, protobuf, Prometheus' remote read and the JSON of its query API.

`chunked` takes the frame of a body off, `snappy` the compression, `protobuf` tells fields. `remote_read` decodes the answers
of that protocol with `xor`, `matrix` those of the query API with `decimals`; both end as the columns of `series`, each series
known by the bytes of its `labels`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
