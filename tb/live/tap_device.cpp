#include "tb/live/tap_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tb/scenario/scenario.h"

namespace understudy::tb {
namespace {

constexpr const char* clone_device = "/dev/net/tun";
constexpr std::size_t largest_read = 65536 + 14 + 4 + sizeof(vnet_header);  // with Ethernet header and tag
// Frames that the kernel keeps for us while the model computes. 8192: two windows of 6 MB, its largest.
constexpr int kernel_queue = 8192;
constexpr unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

[[noreturn]] void fail(const std::string& name, const std::string& what) {
  throw scenario_error(fmt::format("--tap: {}: {}", name, what));
}

std::string cause_of(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "not permitted, allowed: as root, or a device made for you with `ip tuntap add`";
    case EBUSY:
      return "is in use by another program, allowed: a TAP device that nobody has open, or a new name";
    case EINVAL:
      return "exists and is no TAP device, allowed: a TAP device or a new name";
    default:
      return std::strerror(error);
  }
}

}  // namespace

tap_device::tap_device(const std::string& name, bool join) : name_(name), join_(join), room_(largest_read) {
  ifreq r = {};
  if (name.empty() || name.size() >= sizeof r.ifr_name || name.find_first_of("/% \t\n") != name.npos)
    fail(name, "is no name of a network device, allowed: 1 to 15 characters without space, '/' and '%'");
  std::strcpy(r.ifr_name, name.c_str());
  const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) fail(name, std::strerror(errno));
  ifreq known = r;
  created_ = ioctl(control, SIOCGIFINDEX, &known) != 0;
  fd_ = ::open(clone_device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd_ < 0) {
    const int error = errno;
    ::close(control);
    const bool forbidden = error == EPERM || error == EACCES;
    fail(name, fmt::format("{}: {}{}", clone_device, std::strerror(error),
                           forbidden ? ", allowed: as root, or as a user who may read and write it" : ""));
  }
  unsigned features = 0;
  if (ioctl(fd_, TUNGETFEATURES, &features) != 0) features = 0;
  vnet_ = features & IFF_VNET_HDR;
  r.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (features & (IFF_VNET_HDR | IFF_NAPI)));
  if (ioctl(fd_, TUNSETIFF, &r) != 0) {
    const int error = errno;
    ::close(fd_);
    ::close(control);
    fail(name, cause_of(error));
  }
  if (vnet_) {
    // A device that another made keeps what that one asked for.
    int header = sizeof(vnet_header);
    ioctl(fd_, TUNSETVNETHDRSZ, &header);
    ioctl(fd_, TUNSETOFFLOAD, offloads);
  }
  ifreq q = r;
  q.ifr_qlen = kernel_queue;
  ioctl(control, SIOCSIFTXQLEN, &q);  // not permitted on a device that another made: its own length holds
  ifreq m = r;
  if (ioctl(control, SIOCGIFMTU, &m) == 0) mtu_ = static_cast<unsigned>(m.ifr_mtu);
  ::close(control);
}

tap_device::~tap_device() {
  if (fd_ < 0) return;
  if (vnet_) ioctl(fd_, TUNSETOFFLOAD, 0);  // who opens a device next may not know of them
  ::close(fd_);
}

far_end::arrival tap_device::read(picos) {
  while (!splitter_.more())
    if (!fetch()) return {};
  frame_ref f = splitter_.next();
  came_in(f);
  return {std::move(f)};
}

bool tap_device::fetch() {
  ssize_t n;
  do n = ::read(fd_, room_.data(), room_.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno != EAGAIN) gone_ = fmt::format("{} has gone: {}", name_, std::strerror(errno));
    return false;
  }
  vnet_header h;
  const std::size_t before = vnet_ ? sizeof h : 0;
  const auto bytes = static_cast<std::size_t>(n);
  if (bytes >= before) std::memcpy(&h, room_.data(), before);
  ++count_.reads;
  if (bytes < before || !splitter_.take(h, {room_.data() + before, bytes - before})) ++count_.refused_in;
  return true;
}

void tap_device::write(const frame_ref& f) {
  if (!vnet_) return hand_over(f.bytes(), 1, f.size());
  if (!merger_.add(f.bytes())) {
    flush();
    merger_.add(f.bytes());
  }
  if (!join_ || merger_.complete()) flush();
}

void tap_device::flush() {
  const unsigned frames = merger_.frames();
  if (frames == 0) return;
  const std::uint64_t bytes = merger_.frame_bytes();
  hand_over(merger_.take(), frames, bytes);
}

void tap_device::hand_over(std::span<const std::uint8_t> what, unsigned frames, std::uint64_t bytes) {
  if (::write(fd_, what.data(), what.size()) == static_cast<ssize_t>(what.size()))
    sent_out(frames, bytes);
  else if (errno == EIO)
    count_.while_down += frames;
  else
    count_.refused_out += frames;  // short of memory, or gone, which read() finds
}

std::string tap_device::describe() const {
  return fmt::format("tap {} ({}), MTU {}", name_, created_ ? "made for this run" : "was there", mtu_);
}

}  // namespace understudy::tb
