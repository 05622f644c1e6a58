"""The HDF5 log: what is recorded (`channels`), the writer (`recorder`), the reader (`result`).

Layout and promises: docs/log_format.md.
"""
