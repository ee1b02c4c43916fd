"""NLDAS-2, hourly, 0.125 degree, North America from 25 to 53 N: forcing, and Noah's soil."""

from __future__ import annotations

from msm.inputs.layout import load_layout
from msm.inputs.product import Product
from msm.inputs.wind import WIND_SPEED, wind_speed

FORA0125_H_2_0 = Product(load_layout("nldas_fora0125_h_2.0"), wind_speed, (WIND_SPEED,))
FORA0125_H_002 = Product(load_layout("nldas_fora0125_h_002"), wind_speed, (WIND_SPEED,))
NOAH0125_H_2_0 = Product(load_layout("nldas_noah0125_h_2.0"))
