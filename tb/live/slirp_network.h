// A network of our own without privileges: libslirp's TCP/IP stands between the wire and the sockets of this
// machine.
#pragma once
#include <string>
#include <vector>

#include "tb/live/far_end.h"
#include "tb/platform/platform.h"

struct Slirp;

namespace understudy::tb {

// Connections to HOSTADDR:PORT of this machine reach port `guest_port` behind the adapter.
struct host_forward {
  std::string host = "127.0.0.1";  // as it was given: IPv4, or IPv6 in brackets
  ip_address address = ip_address::v4(127, 0, 0, 1);
  std::uint16_t port = 0;
  std::uint16_t guest_port = 0;
};
// "[tcp:][HOSTADDR]:PORT-:GUESTPORT". Throws scenario_error.
host_forward parse_host_forward(const std::string& text);

// The gateway of each of the host's networks is the first address that the host does not have: what it
// connects to there is the loopback of this machine, 127.0.0.1 or ::1.
class slirp_network : public far_end {
 public:
  // Throws scenario_error where a forward is not possible.
  slirp_network(const outside_world& world, const std::vector<host_forward>& forwards);
  ~slirp_network() override;
  slirp_network(const slirp_network&) = delete;
  slirp_network& operator=(const slirp_network&) = delete;

  void before_wait(std::vector<pollfd>& all, wall_nanos& longest) override;
  void after_wait(std::span<const pollfd> mine) override;
  arrival read(picos) override;
  void write(const frame_ref& f) override;
  std::string describe() const override;
  const char* peer() const override { return "slirp"; }

  struct callbacks;

 private:
  // `guest`: the host's address of the forward's family, nullptr: it has none.
  void forward(const host_forward& f, const station_address* guest);
  void widen_backlogs();
  Slirp* slirp_ = nullptr;
  std::string description_;
  std::vector<pollfd> polled_;
  std::vector<frame_ref> waiting_;  // from here on to the model
  std::size_t next_ = 0;            // of waiting_
};

}  // namespace understudy::tb
