// Tags of IEEE 802.1Q: which virtual LAN a frame belongs to.
#pragma once
#include <cstdint>

#include "model/core/frame.h"

namespace understudy {

inline constexpr std::uint16_t type_vlan = 0x8100;     // of a customer tag (IEEE 802.1Q table 9-1)
inline constexpr std::uint32_t vlan_tag_bytes = 4;     // between the addresses and the EtherType
inline constexpr std::uint16_t vlan_id_mask = 0x0fff;  // of the tag's second half

// The VLAN that a frame's tag names; 0: it has none, or one that tells a priority alone (VID 0). Of a frame
// of less than 18 bytes: 0.
std::uint16_t vlan_of(const frame_ref& f);
bool has_vlan_tag(const frame_ref& f);

// The frame with a tag of `vlan`, priority 0, after its addresses; of at least 14 bytes and at most
// frame_ref::max_bytes - 4. It is `f` itself, in its headroom, if nobody else holds it and there is room;
// else a copy. `vlan` 0: the frame as it is.
frame_ref with_vlan_tag(frame_ref f, std::uint16_t vlan);
// A copy without the tag that it has; `f` itself if it has none.
frame_ref without_vlan_tag(const frame_ref& f);

}  // namespace understudy
