#include <fcntl.h>
#include <sys/socket.h>

#include "addon/addon.h"
#include "addon/conntrack.h"
#include "addon/links.h"
#include "addon/netns.h"
#include "addon/reader.h"
#include "common/fd.h"

namespace berth::addon {
namespace {

// Link names, addresses and MACs, checked before anything reaches a thread.
class NetworkReader : public Reader {
 public:
  using Reader::Reader;

  std::string link_name(Napi::Value value, const char* what) {
    std::string name = text(value, what);
    if (!valid_link_name(name)) wrong(what, name);
    return name;
  }
  std::optional<MacAddress> optional_mac(Napi::Value value) {
    const std::string text = optional_text(value, "mac");
    if (text.empty()) return std::nullopt;
    const std::optional<MacAddress> mac = parse_mac(text);
    if (!mac) wrong("mac", text);
    return mac;
  }
  unsigned optional_mtu(Napi::Value value) {
    return value.IsUndefined() ? 0 : static_cast<unsigned>(integer(value, "mtu", 0, 65535));
  }
  std::vector<IpNetwork> networks(Napi::Value value) {
    std::vector<IpNetwork> networks;
    for (const std::string& text : texts(value, "addresses")) {
      const std::optional<IpNetwork> network = parse_network(text);
      network ? networks.push_back(*network) : wrong("addresses", text);
    }
    return networks;
  }
  std::vector<IpAddress> gateways(Napi::Value value) {
    std::vector<IpAddress> gateways;
    for (const std::string& text : texts(value, "gateways")) {
      const std::optional<IpAddress> gateway = parse_address(text);
      gateway ? gateways.push_back(*gateway) : wrong("gateways", text);
    }
    return gateways;
  }

 private:
  void wrong(const char* what, const std::string& text) {
    note(what, ("valid: " + (text.size() > 64 ? text.substr(0, 64) : text)).c_str());
  }
};

Napi::Value on_net(const Napi::CallbackInfo& info, std::unique_ptr<Job> job) {
  return addon_of(info.Env()).net.run(info.Env(), std::move(job));
}

Napi::Value fd_value(Napi::Env env, int fd) {
  return Napi::Number::New(env, fd);
}

Napi::Value create_netns_call(const Napi::CallbackInfo& info) {
  return on_net(info, make_job(info.Env(), create_netns, fd_value));
}

Napi::Value bind_netns_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "netnsFd");
  const std::string path = in.text(info[1], "path");
  if (!in.ok()) return in.refuse();
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return raise(info.Env(), fail("fcntl", "network namespace"));
  auto work = [own, path]() -> Done {
    const Fd held(own);
    const Done raised = raise_loopback(own);
    return raised ? bind_netns(own, path) : raised;
  };
  return on_net(info, make_job(info.Env(), work, to_undefined));
}

Napi::Value write_settings_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "netnsFd");
  const Napi::Array given = in.array(info[1], "settings");
  std::vector<Setting> settings;
  for (uint32_t i = 0; in.ok() && i < given.Length(); ++i) {
    const Napi::Object one = in.object(given.Get(i), "settings");
    if (!in.ok()) break;
    settings.push_back({in.text(one.Get("path"), "path"), in.text(one.Get("value"), "value")});
    if (in.ok() && !valid_setting(settings.back().path)) in.note("path", "a file below net/");
  }
  if (!in.ok()) return in.refuse();
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return raise(info.Env(), fail("fcntl", "network namespace"));
  auto work = [own, settings] {
    const Fd held(own);
    return write_settings(own, settings);
  };
  return on_net(info, make_job(info.Env(), work, to_undefined));
}

Napi::Value ensure_bridge_call(const Napi::CallbackInfo& info) {
  NetworkReader in(info.Env());
  const Napi::Object options = in.object(info[0], "options");
  BridgeRequest request;
  request.name = in.link_name(options.Get("name"), "name");
  request.mac = in.optional_mac(options.Get("mac"));
  request.mtu = in.optional_mtu(options.Get("mtu"));
  request.addresses = in.networks(options.Get("addresses"));
  if (!in.ok()) return in.refuse();
  return on_net(info, make_job(
                          info.Env(), [request] { return ensure_bridge(request); }, to_undefined));
}

Napi::Value attach_veth_call(const Napi::CallbackInfo& info) {
  NetworkReader in(info.Env());
  const Napi::Object options = in.object(info[0], "options");
  VethRequest request;
  request.netns_fd = in.fd(options.Get("netnsFd"), "netnsFd");
  request.host_name = in.link_name(options.Get("hostName"), "hostName");
  request.container_name = in.link_name(options.Get("containerName"), "containerName");
  request.bridge = in.link_name(options.Get("bridge"), "bridge");
  request.mac = in.optional_mac(options.Get("mac"));
  request.mtu = in.optional_mtu(options.Get("mtu"));
  request.addresses = in.networks(options.Get("addresses"));
  request.gateways = in.gateways(options.Get("gateways"));
  if (!in.ok()) return in.refuse();
  // Its own descriptor: the caller's may be closed, and its number reused, before the thread comes to it.
  request.netns_fd = fcntl(request.netns_fd, F_DUPFD_CLOEXEC, 3);
  if (request.netns_fd < 0) return raise(info.Env(), fail("fcntl", "network namespace"));
  auto work = [request] {
    const Fd held(request.netns_fd);
    return attach_veth(request);
  };
  auto convert = [](Napi::Env env, VethReply& reply) {
    Napi::Object value = Napi::Object::New(env);
    value.Set("hostIndex", Napi::Number::New(env, reply.host_index));
    value.Set("mac", reply.mac);
    return value;
  };
  return on_net(info, make_job(info.Env(), work, convert));
}

Napi::Value links_value(Napi::Env env, std::vector<Link>& links) {
  Napi::Array all = Napi::Array::New(env, links.size());
  for (uint32_t i = 0; i < links.size(); ++i) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("name", links[i].name);
    one.Set("index", Napi::Number::New(env, links[i].index));
    one.Set("kind", links[i].kind);
    one.Set("master", Napi::Number::New(env, links[i].master));
    one.Set("mac", links[i].mac);
    one.Set("up", Napi::Boolean::New(env, links[i].up));
    all.Set(i, one);
  }
  return all;
}

Napi::Value list_links_call(const Napi::CallbackInfo& info) {
  return on_net(info, make_job(
                          info.Env(), [] { return list_links(); }, links_value));
}

Napi::Value counters_value(Napi::Env env, std::vector<Link>& links) {
  Napi::Array all = Napi::Array::New(env);
  for (const Link& link : links) {
    if (link.name == "lo") continue;
    const LinkCounts& counts = link.counts;
    Napi::Object one = Napi::Object::New(env);
    one.Set("name", counts.name);
    one.Set("rxBytes", Napi::BigInt::New(env, counts.rx_bytes));
    one.Set("rxPackets", Napi::BigInt::New(env, counts.rx_packets));
    one.Set("rxErrors", Napi::BigInt::New(env, counts.rx_errors));
    one.Set("rxDropped", Napi::BigInt::New(env, counts.rx_dropped));
    one.Set("txBytes", Napi::BigInt::New(env, counts.tx_bytes));
    one.Set("txPackets", Napi::BigInt::New(env, counts.tx_packets));
    one.Set("txErrors", Napi::BigInt::New(env, counts.tx_errors));
    one.Set("txDropped", Napi::BigInt::New(env, counts.tx_dropped));
    all.Set(all.Length(), one);
  }
  return all;
}

Napi::Value netns_counters(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "netnsFd");
  if (!in.ok()) return in.refuse();
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return raise(info.Env(), fail("fcntl", "network namespace"));
  auto work = [own] {
    const Fd held(own);
    return list_links_in(own);
  };
  return on_net(info, make_job(info.Env(), work, counters_value));
}

Napi::Value socket_in_netns_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const int fd = in.fd(info[0], "netnsFd");
  const int64_t version = in.integer(info[1], "family", 4, 6);
  if (version == 5) in.note("family", "4 or 6");
  if (!in.ok()) return in.refuse();
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) return raise(info.Env(), fail("fcntl", "network namespace"));
  const int family = version == 4 ? AF_INET : AF_INET6;
  auto work = [own, family] {
    const Fd held(own);
    return socket_in_netns(own, family);
  };
  return on_net(info, make_job(info.Env(), work, fd_value));
}

Napi::Value delete_link_call(const Napi::CallbackInfo& info) {
  NetworkReader in(info.Env());
  const std::string name = in.link_name(info[0], "name");
  if (!in.ok()) return in.refuse();
  return on_net(info, make_job(
                          info.Env(), [name] { return delete_link(name); }, to_undefined));
}

Napi::Value forget_udp_flows_call(const Napi::CallbackInfo& info) {
  Reader in(info.Env());
  const Napi::Array given = in.array(info[0], "ports");
  std::vector<uint16_t> ports;
  for (uint32_t i = 0; in.ok() && i < given.Length(); ++i) {
    ports.push_back(static_cast<uint16_t>(in.integer(given.Get(i), "ports", 1, 65535)));
  }
  if (!in.ok()) return in.refuse();
  auto convert = [](Napi::Env env, uint32_t& count) { return Napi::Number::New(env, count); };
  return on_net(info, make_job(
                          info.Env(), [ports] { return forget_udp_flows(ports); }, convert));
}

}  // namespace

void add_network(Napi::Env env, Napi::Object exports) {
  exports.Set("createNetns", Napi::Function::New(env, create_netns_call, "createNetns"));
  exports.Set("writeNetSettings", Napi::Function::New(env, write_settings_call, "writeNetSettings"));
  exports.Set("bindNetns", Napi::Function::New(env, bind_netns_call, "bindNetns"));
  exports.Set("ensureBridge", Napi::Function::New(env, ensure_bridge_call, "ensureBridge"));
  exports.Set("attachVeth", Napi::Function::New(env, attach_veth_call, "attachVeth"));
  exports.Set("listLinks", Napi::Function::New(env, list_links_call, "listLinks"));
  exports.Set("netnsCounters", Napi::Function::New(env, netns_counters, "netnsCounters"));
  exports.Set("socketInNetns", Napi::Function::New(env, socket_in_netns_call, "socketInNetns"));
  exports.Set("forgetUdpFlows", Napi::Function::New(env, forget_udp_flows_call, "forgetUdpFlows"));
  exports.Set("deleteLink", Napi::Function::New(env, delete_link_call, "deleteLink"));
}

}  // namespace berth::addon
