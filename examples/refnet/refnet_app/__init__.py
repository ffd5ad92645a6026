"""RefNet collects papers, follows their citations, summarises them and writes pages that link to each other."""
