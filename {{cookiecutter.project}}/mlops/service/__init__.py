"""One answer: a model behind REST. Imports no other room but predict and contract."""
