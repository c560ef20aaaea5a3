"""Tables of trained networks in place of training: searched by the same controllers, in a record as ever."""
