"""Imported last by the server of processes: what it has loaded is left out of garbage collection in all of them.

Otherwise the first collection of each process walks, and so copies, half a gigabyte of modules.
"""

import gc

gc.collect()
gc.freeze()
