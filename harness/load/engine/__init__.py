"""The load engine: open-loop arrivals on asyncio and uvloop, four timestamps a request, every intended request one row.

``plan`` what it is told · ``process`` one engine process (``python -m harness.load.engine PLAN``) · ``fleet`` several of them from
the outside · ``pace`` when arrivals are due · ``lane`` connections and what waits for them · ``connection`` HTTP/1.1 ·
``sse``, ``grpc`` the other protocols · ``recorder`` rows to segments and histograms · ``verify`` what an answer must be ·
``saturation`` what the process says of itself.
"""
