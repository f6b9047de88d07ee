"""Pages of HTML in one file that open from disk: the template, the chart library, films."""
