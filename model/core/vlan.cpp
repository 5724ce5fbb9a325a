#include "model/core/vlan.h"

#include <cstring>

#include "model/core/packet.h"
#include "model/core/wire_bytes.h"

namespace understudy {

namespace {
constexpr std::uint32_t address_bytes = 12;
}  // namespace

bool has_vlan_tag(const frame_ref& f) {
  return f.size() >= ethernet_bytes + vlan_tag_bytes && get16(f.data() + address_bytes) == type_vlan;
}

std::uint16_t vlan_of(const frame_ref& f) {
  return has_vlan_tag(f) ? get16(f.data() + ethernet_bytes) & vlan_id_mask : 0;
}

frame_ref with_vlan_tag(frame_ref f, std::uint16_t vlan) {
  if (vlan == 0) return f;
  if (f.is_shared() || f.headroom() < vlan_tag_bytes) {
    frame_ref copy = frame_ref::make(f.size(), vlan_tag_bytes);
    std::memcpy(copy.data(), f.data(), f.size());
    copy.mark() = f.mark();
    f = std::move(copy);
  }
  f.extend_front(vlan_tag_bytes);
  std::uint8_t* p = f.data();
  std::memmove(p, p + vlan_tag_bytes, address_bytes);
  put16(p + address_bytes, type_vlan);
  put16(p + ethernet_bytes, vlan);
  return f;
}

frame_ref without_vlan_tag(const frame_ref& f) {
  if (!has_vlan_tag(f)) return f;
  frame_ref copy = frame_ref::make(f.size() - vlan_tag_bytes);
  std::memcpy(copy.data(), f.data(), address_bytes);
  std::memcpy(copy.data() + address_bytes, f.data() + address_bytes + vlan_tag_bytes,
              copy.size() - address_bytes);
  copy.mark() = f.mark();
  return copy;
}

}  // namespace understudy
