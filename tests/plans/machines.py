# SPDX-License-Identifier: BSD-2-Clause
"""Writes the machines of the golden plans: hwloc's synthetic export, without what nobody reads, and with the kinds
of cores and the cpuset that a synthetic description cannot tell. Run it in this folder; needs libhwloc."""
import ctypes
import re

hwloc = ctypes.CDLL("libhwloc.so.15")


def export(description):
    t = ctypes.c_void_p()
    text, size = ctypes.c_char_p(), ctypes.c_int()
    assert hwloc.hwloc_topology_init(ctypes.byref(t)) == 0
    assert hwloc.hwloc_topology_set_synthetic(t, description.encode()) == 0
    assert hwloc.hwloc_topology_load(t) == 0
    assert hwloc.hwloc_topology_export_xmlbuffer(t, ctypes.byref(text), ctypes.byref(size), 0) == 0
    xml = ctypes.string_at(text, size.value - 1).decode()
    xml = re.sub(r'\n *<(support|info) [^>]*/>', "", xml)
    return re.sub(r'\n *<page_type [^>]*/>', "", xml)


def write(name, description, kinds=(), allowed=None):
    xml = export(description)
    if allowed:
        xml = re.sub(r'allowed_cpuset="[^"]*"', f'allowed_cpuset="{allowed}"', xml)
    more = ""
    for cpuset, efficiency, infos in kinds:
        more += f'  <cpukind cpuset="{cpuset}" forced_efficiency="{efficiency}">\n'
        more += "".join(f'    <info name="{n}" value="{v}"/>\n' for n, v in infos) + "  </cpukind>\n"
    with open(name + ".xml", "w") as f:
        f.write(xml.replace("</topology>", more + "</topology>"))


write("two-sockets", "package:2 group:2 [numa(memory=64GB)] l3:1(size=32MB) l2:8(size=1MB) core:1 pu:2")
write("eight-dies", "package:1 [numa(memory=64GB)] l3:8(size=32MB) l2:4(size=1MB) core:1 pu:1")
write("laptop", "package:1 [numa(memory=16GB)] l3:1(size=24MB) l2:12(size=2MB) core:1 pu:1",
      kinds=[("0x0000000f", 1, [("CoreType", "IntelCore"), ("FrequencyMaxMHz", "4800")]),
             ("0x00000ff0", 0, [("CoreType", "IntelAtom"), ("FrequencyMaxMHz", "3600")])])
write("board", "package:1 [numa(memory=4GB)] l2:8(size=512KB) core:1 pu:1",
      kinds=[("0x0000000f", 0, [("LinuxCapacity", "380")]), ("0x000000f0", 1, [("LinuxCapacity", "1024")])])
write("two-cores", "package:1 [numa(memory=64GB)] l3:4(size=32MB) l2:8(size=1MB) core:1 pu:1", allowed="0x00000300")
