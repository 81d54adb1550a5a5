"""What may be said of an error or a warning of the server, and where in the file it points; never a row's data.

Never: decides what is done about it: whoever ran the statement does.
"""
