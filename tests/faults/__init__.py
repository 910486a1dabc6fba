"""Delivery, broken on purpose: every fault under every load, with the books checked at the end.

``make faults`` runs it at full size and writes the table in docs/delivery.md; the tests run it small.
"""
