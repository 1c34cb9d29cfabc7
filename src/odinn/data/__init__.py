"""From files to glaciers: NetCDF, OGGM directories, observations, checks, and glaciers made in
code.
"""
