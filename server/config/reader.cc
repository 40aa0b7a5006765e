#include "server/config/reader.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <optional>

#include "millrace/v1/server_config.pb.h"
#include "server/config/field_path.h"
#include "server/config/field_value.h"
#include "server/config/parameter_template.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;
using Kind = YamlNode::Kind;

std::string Got(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a mapping";
    case Kind::kScalar:
      return Got(Scalar{node.text, node.quoted});
  }
  return "";
}

class Reader {
 public:
  explicit Reader(Parameters parameters) : parameters_(parameters) {}

  void Read(const YamlNode& node, Message& message, const std::string& path) {
    reading.places[path] = node.place;
    const Descriptor& descriptor = *message.GetDescriptor();
    const v1::ShortForm& form = ShortFormOf(descriptor);
    if (node.kind == Kind::kMap) {
      const bool is_short = !form.mapping().empty() && !node.members.empty() && !NamesAField(node, descriptor);
      is_short ? ReadAt(form.mapping(), node, message, path) : ReadFields(node, message, path);
    } else if (node.kind == Kind::kList && !form.list().empty()) {
      ReadAt(form.list(), node, message, path);
    } else if (node.kind == Kind::kScalar && HasScalarForm(form)) {
      ReadShortForm(node, message, path);
    } else if (&descriptor == v1::Secret::descriptor()) {
      Refuse(node, path, "expected {env: NAME} or {file: PATH}; a secret is never written in place");
    } else if (node.kind != Kind::kNull || HasScalarForm(form)) {  // `local:` alone is an empty message
      Refuse(node, path, fmt::format("expected {}, got {}", ExpectationOf(form), Got(node)));
    }
  }

  Reading reading;

 private:
  static bool HasScalarForm(const v1::ShortForm& form) {
    return !form.integer().empty() || !form.number().empty() || !form.percentage().empty() || !form.text().empty() ||
           !form.boolean().empty() || !form.duration().empty();
  }

  static std::string ExpectationOf(const v1::ShortForm& form) {
    if (HasScalarForm(form)) return "a value or a mapping";
    return form.list().empty() ? "a mapping" : "a list or a mapping";
  }

  static bool NamesAField(const YamlNode& node, const Descriptor& descriptor) {
    for (const YamlMember& member : node.members) {
      if (descriptor.FindFieldByName(member.name) != nullptr) return true;
    }
    return false;
  }

  void Refuse(const YamlNode& node, const std::string& path, std::string what) {
    reading.problems.push_back({node.place, path, std::move(what)});
  }

  void ReadFields(const YamlNode& node, Message& message, const std::string& path) {
    const Descriptor& descriptor = *message.GetDescriptor();
    for (const YamlMember& member : node.members) {
      const std::string at = PathOfEntry(path, member.name);
      const FieldDescriptor* field = descriptor.FindFieldByName(member.name);
      if (field == nullptr) {
        RefuseName(member, descriptor, at);
        continue;
      }
      if (const OneofDescriptor* oneof = field->real_containing_oneof()) {
        if (const FieldDescriptor* other = message.GetReflection()->GetOneofFieldDescriptor(message, oneof)) {
          reading.problems.push_back(
              {member.place, at,
               fmt::format("{} and {} are both given; only one may be", other->name(), field->name())});
          continue;
        }
      }
      ReadField(member.value, message, field, at);
    }
  }

  void RefuseName(const YamlMember& member, const Descriptor& descriptor, const std::string& path) {
    std::vector<std::string> names;
    for (int i = 0; i < descriptor.field_count(); ++i) names.push_back(descriptor.field(i)->name());
    std::string what = "unknown key" + DidYouMean(member.name, names);
    if (names.empty()) what += "; nothing is set here";
    reading.problems.push_back({member.place, path, std::move(what)});
    reading.places[path] = member.place;
  }

  // The field at the end of `names`, which are joined by dots.
  void ReadAt(std::string_view names, const YamlNode& node, Message& message, std::string path) {
    Message* at = &message;
    while (true) {
      const size_t dot = names.find('.');
      const std::string name(names.substr(0, dot));
      const FieldDescriptor* field = at->GetDescriptor()->FindFieldByName(name);
      path = PathOfField(path, name);
      if (dot == std::string_view::npos) return ReadField(node, *at, field, path);
      at = at->GetReflection()->MutableMessage(at, field);
      names.remove_prefix(dot + 1);
    }
  }

  void ReadField(const YamlNode& node, Message& message, const FieldDescriptor* field, const std::string& path) {
    reading.places[path] = node.place;
    if (field->is_map()) return ReadMap(node, message, field, path);
    if (field->is_repeated()) return ReadList(node, message, field, path);
    ReadSlot(node, {&message, field, -1}, path);
    RefuseLostZero(node, message, *field, path);
  }

  void ReadMap(const YamlNode& node, Message& message, const FieldDescriptor* field, const std::string& path) {
    if (node.kind != Kind::kMap) return Refuse(node, path, fmt::format("expected a mapping, got {}", Got(node)));
    for (const YamlMember& member : node.members) {
      Message* entry = message.GetReflection()->AddMessage(&message, field);
      entry->GetReflection()->SetString(entry, entry->GetDescriptor()->map_key(), member.name);
      const std::string at = PathOfEntry(path, member.name);
      reading.places[at] = member.value.place;
      ReadSlot(member.value, {entry, entry->GetDescriptor()->map_value(), -1}, at);
    }
  }

  void ReadList(const YamlNode& node, Message& message, const FieldDescriptor* field, const std::string& path) {
    if (node.kind == Kind::kScalar) return ReadElement(node, message, field, PathOfElement(path, 0));  // a list of one
    if (node.kind != Kind::kList) return Refuse(node, path, fmt::format("expected a list, got {}", Got(node)));
    for (size_t i = 0; i < node.elements.size(); ++i) {
      ReadElement(node.elements[i], message, field, PathOfElement(path, i));
    }
  }

  void ReadElement(const YamlNode& node, Message& message, const FieldDescriptor* field, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    const int index = reflection.FieldSize(message, field);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      reflection.AddMessage(&message, field);
    } else {
      reflection.AddString(&message, field, "");  // the messages' lists are of messages or strings: a test checks it
    }
    reading.places[path] = node.place;
    ReadSlot(node, {&message, field, index}, path);
  }

  void ReadSlot(const YamlNode& node, const FieldRef& slot, const std::string& path) {
    const FieldDescriptor& field = *slot.field;
    if (RulesOf(field).json_text()) return ReadJson(node, slot, path);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !IsDuration(field)) {
      return Read(node, *slot.MutableMessage(), path);
    }
    if (node.kind != Kind::kScalar) {
      return Refuse(node, path, fmt::format("expected {}, got {}", Expectation(field), Got(node)));
    }
    const std::optional<Scalar> scalar = Unbound(node, path, [&] { Touch(slot); });
    if (!scalar) return;
    if (std::optional<std::string> what = SetScalar(slot, *scalar)) Refuse(node, path, *std::move(what));
  }

  void ReadShortForm(const YamlNode& node, Message& message, const std::string& path) {
    const std::optional<Scalar> scalar = Unbound(node, path, [] {});
    if (!scalar) return;
    if (std::optional<std::string> what = SetShortForm(message, *scalar)) Refuse(node, path, *std::move(what));
  }

  // Returns the scalar with `$$(` undone; nullopt if it has parameters (then it has become a binding, and `touch` was
  // called), or if it is wrong.
  template <typename Function>
  std::optional<Scalar> Unbound(const YamlNode& node, const std::string& path, Function touch) {
    if (!MayBind(path)) return Scalar{node.text, node.quoted};
    const StatusOr<std::vector<TemplatePiece>> pieces = ParseTemplate(node.text);
    if (!pieces.ok()) {
      touch();
      Refuse(node, path, std::string(MessageOf(pieces.status())));
      return std::nullopt;
    }
    if (!HasParameter(*pieces)) return Scalar{LiteralText(*pieces), node.quoted};
    touch();
    AddBinding(path, node.text);
    return std::nullopt;
  }

  bool MayBind(std::string_view path) const {
    return parameters_ == Parameters::kInStages && (path.starts_with("stages[") || path.starts_with("measures["));
  }

  void AddBinding(const std::string& path, const std::string& text) {
    v1::Binding& binding = reading.bindings.emplace_back();
    binding.set_path(path);
    binding.set_template_(text);
  }

  // Returns a tree as JSON text, in its order. A text with parameters makes a binding of the whole.
  void ReadJson(const YamlNode& node, const FieldRef& slot, const std::string& path) {
    bool is_bound = false;
    if (MayBind(path)) {
      const size_t before = reading.problems.size();
      is_bound = FindParameters(node, path);
      if (reading.problems.size() > before) return Touch(slot);
    }
    if (is_bound && node.kind == Kind::kScalar) {
      Touch(slot);
      return AddBinding(path, node.text);
    }
    std::string text;
    if (!AppendJson(node, path, is_bound, text)) return Touch(slot);
    if (is_bound) {
      Touch(slot);
      return AddBinding(path, text);
    }
    const Reflection& reflection = *slot.message->GetReflection();
    if (slot.index < 0) {
      reflection.SetString(slot.message, slot.field, text);
    } else {
      reflection.SetRepeatedString(slot.message, slot.field, slot.index, text);
    }
  }

  // Returns true if a text in the tree has a parameter.
  bool FindParameters(const YamlNode& node, const std::string& path) {
    bool found = false;
    if (node.kind == Kind::kScalar) {
      const StatusOr<std::vector<TemplatePiece>> pieces = ParseTemplate(node.text);
      if (!pieces.ok()) {
        Refuse(node, path, std::string(MessageOf(pieces.status())));
        return false;
      }
      return HasParameter(*pieces);
    }
    for (const YamlNode& element : node.elements) found |= FindParameters(element, path);
    for (const YamlMember& member : node.members) found |= FindParameters(member.value, path);
    return found;
  }

  // Returns false if something is wrong, and reports it. In a binding, texts stay templates.
  bool AppendJson(const YamlNode& node, const std::string& path, bool is_bound, std::string& out) {
    bool is_first = true;
    const auto separate = [&] {
      if (!is_first) out.push_back(',');
      is_first = false;
    };
    switch (node.kind) {
      case Kind::kNull:
        out += "null";
        return true;
      case Kind::kScalar: {
        Scalar scalar{node.text, node.quoted};
        if (!is_bound && MayBind(path)) scalar.text = LiteralText(*ParseTemplate(node.text));
        const std::optional<std::string> value = ScalarToJson(scalar);
        if (!value) {
          Refuse(node, path,
                 fmt::format("expected a JSON value, got {}; put quotes around it if it is text, or write it "
                             "as a decimal number",
                             Got(node)));
          return false;
        }
        out += *value;
        return true;
      }
      case Kind::kList:
        out.push_back('[');
        for (const YamlNode& element : node.elements) {
          separate();
          if (!AppendJson(element, path, is_bound, out)) return false;
        }
        out.push_back(']');
        return true;
      case Kind::kMap:
        out.push_back('{');
        for (const YamlMember& member : node.members) {
          separate();
          out += QuoteJson(member.name);
          out.push_back(':');
          if (!AppendJson(member.value, path, is_bound, out)) return false;
        }
        out.push_back('}');
        return true;
    }
    return false;
  }

  // A field without presence can't tell a written 0 from an absent one: a 0 is refused if absence means something else,
  // so that it is not misread.
  void RefuseLostZero(const YamlNode& node, const Message& message, const FieldDescriptor& field,
                      const std::string& path) {
    if (field.has_presence() || node.kind != Kind::kScalar || message.GetReflection()->HasField(message, &field))
      return;
    if (!reading.bindings.empty() && reading.bindings.back().path() == path) return;
    if (!reading.problems.empty() && reading.problems.back().path == path) return;
    const v1::FieldRules& rules = RulesOf(field);
    if (rules.has_min() && rules.min() > 0) {
      Refuse(node, path, fmt::format("must be at least {}, got {}", rules.min(), Got(node)));
    } else if (!rules.default_value().empty() && field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM) {
      Refuse(node, path,
             fmt::format("can't be {}; leave it out for the default ({})",
                         node.text.empty() ? "empty" : Excerpt(node.text), rules.default_value()));
    }
  }

  const Parameters parameters_;
};

}  // namespace

Reading ReadMessage(const YamlNode& tree, Message& message, Parameters parameters) {
  Reader reader(parameters);
  if (tree.kind == Kind::kMap) {
    reader.Read(tree, message, "");
  } else {
    reader.reading.problems.push_back({tree.place, "", fmt::format("expected a mapping, got {}", Got(tree))});
  }
  return std::move(reader.reading);
}

}  // namespace millrace
