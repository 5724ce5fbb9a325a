// A TAP device: the kernel's network stack at the far end of the wire. Where the device takes a
// virtio_net_hdr, segments that follow each other may go to it in one write, and the kernel may leave it to
// us to cut large segments and to complete checksums: `ethtool -K NAME tso on|off tx on|off`, on at first.
// What is written passes the kernel's GRO, where it has NAPI for such devices.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tb/live/far_end.h"
#include "tb/live/segment_merger.h"
#include "tb/live/segment_splitter.h"

namespace understudy::tb {

class tap_device : public far_end {
 public:
  // Opens the device `name`, or creates it for as long as this lives. `join`: segments that follow each other
  // go in one write, where the device can. Throws scenario_error: name, cause, what is allowed.
  tap_device(const std::string& name, bool join);
  ~tap_device() override;
  tap_device(const tap_device&) = delete;
  tap_device& operator=(const tap_device&) = delete;

  void before_wait(std::vector<pollfd>& all, wall_nanos& longest) override {
    all.push_back({fd_, POLLIN, 0});
    if (splitter_.more()) longest = 0;
  }
  arrival read(picos) override;
  void write(const frame_ref& f) override;
  void flush() override;
  std::string gone() const override { return gone_; }
  std::string describe() const override;
  const char* peer() const override { return "kernel"; }
  // Bytes of an IP packet that the device takes.
  unsigned mtu() const { return mtu_; }

 private:
  // One read into `room_`; false: there is nothing to read.
  bool fetch();
  // One write of `what`: so many frames of the model's, and their bytes.
  void hand_over(std::span<const std::uint8_t> what, unsigned frames, std::uint64_t bytes);

  std::string name_;
  int fd_ = -1;
  bool created_ = false;
  unsigned mtu_ = 0;
  bool vnet_ = false;  // a virtio_net_hdr is before every frame, in both directions
  bool join_ = false;
  segment_merger merger_;
  segment_splitter splitter_;
  std::string gone_;
  std::vector<std::uint8_t> room_;  // what was read last
};

}  // namespace understudy::tb
