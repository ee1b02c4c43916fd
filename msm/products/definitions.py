"""The input products: each is a layout file and a line here.

A product whose fields are derived from its stored variables, such as the wind speed, also names
the function that derives them.
"""

from __future__ import annotations

import numpy as np

from msm.products.layout import load_layout
from msm.products.product import Derived, Fields, Product

WIND_SPEED = Derived("wind_speed", "m s-1", of="wind_east")


def wind_speed(fields: Fields) -> Fields:
    """Replace the wind components by the wind speed."""
    east, north = fields.pop("wind_east", None), fields.pop("wind_north", None)
    if east is not None and north is not None:
        # Of each time step: opposite winds would cancel in a mean of the components.
        fields["wind_speed"] = np.hypot(east, north)
    return fields


# NLDAS-2, hourly, 0.125 degree, North America from 25 to 53 N: forcing, and soil of the Noah model.
NLDAS_FORA0125_H_2_0 = Product(load_layout("nldas_fora0125_h_2.0"), wind_speed, (WIND_SPEED,))
NLDAS_FORA0125_H_002 = Product(load_layout("nldas_fora0125_h_002"), wind_speed, (WIND_SPEED,))
NLDAS_NOAH0125_H_2_0 = Product(load_layout("nldas_noah0125_h_2.0"))

# SMAP L3 daily composites: SPL3SMP_E on 9 km, SPL3SMP on 36 km.
SPL3SMP_E_006 = Product(load_layout("spl3smp_e_006"))
SPL3SMP_009 = Product(load_layout("spl3smp_009"))
SPL3SMP_003 = Product(load_layout("spl3smp_003"))

# SMAP L2, half-orbits hours after the overpass, 36 km.
SPL2SMP_NRT_107 = Product(load_layout("spl2smp_nrt_107"))

# SMAP L4, 9 km: three-hourly means with forcing, analysis updates, land model constants.
SPL4SMGP_008 = Product(load_layout("spl4smgp_008"))
SPL4SMAU_008 = Product(load_layout("spl4smau_008"))
SPL4SMLM_008 = Product(load_layout("spl4smlm_008"))

# GLDAS-2.1 Noah, three-hourly, 0.25 degree, land north of 60 S, and its land mask.
GLDAS_NOAH025_3H_2_1 = Product(load_layout("gldas_noah025_3h_2.1"))
GLDAS_NOAH025_3H_EP_2_1 = Product(load_layout("gldas_noah025_3h_ep_2.1"))
GLDAS_LANDMASK = Product(load_layout("gldas_landmask_025d"))

# GPM IMERG precipitation, 0.1 degree: daily Early, Late and Final runs, and half-hourly version 03.
GPM_3IMERGDE_07 = Product(load_layout("gpm_3imergde_07"))
GPM_3IMERGDL_07 = Product(load_layout("gpm_3imergdl_07"))
GPM_3IMERGDF_07 = Product(load_layout("gpm_3imergdf_07"))
GPM_3IMERGHH_03 = Product(load_layout("gpm_3imerghh_03"))

# MERRA-2 hourly means, 0.5 by 0.625 degree, global, one granule per day.
M2T1NXSLV = Product(load_layout("m2t1nxslv_5.12.4"), wind_speed, (WIND_SPEED,))
M2T1NXFLX = Product(load_layout("m2t1nxflx_5.12.4"))
M2T1NXRAD = Product(load_layout("m2t1nxrad_5.12.4"))

PRODUCTS = (
    NLDAS_FORA0125_H_2_0,
    NLDAS_FORA0125_H_002,
    SPL3SMP_E_006,
    SPL3SMP_009,
    SPL3SMP_003,
    SPL4SMLM_008,
    SPL4SMGP_008,
    SPL4SMAU_008,
    SPL2SMP_NRT_107,
    GLDAS_NOAH025_3H_2_1,
    GLDAS_NOAH025_3H_EP_2_1,
    GLDAS_LANDMASK,
    GPM_3IMERGDE_07,
    GPM_3IMERGDL_07,
    GPM_3IMERGDF_07,
    GPM_3IMERGHH_03,
    M2T1NXSLV,
    M2T1NXFLX,
    M2T1NXRAD,
    NLDAS_NOAH0125_H_2_0,
)
