"""The certificate of load engines: what an engine reported beside what a reference server knows to be true."""
