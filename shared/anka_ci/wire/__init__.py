"""The wire: one file per noun, a lenient ``read`` and a strict ``emit`` each, and the envelope around them.

Anka's spellings (``vm``, ``vmid``, ``template_id``, ``request_id``) live here and nowhere else. No I/O.
"""
