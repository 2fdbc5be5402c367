"""Any folder of pictures through decoding and all output formats, beside independent readers."""
