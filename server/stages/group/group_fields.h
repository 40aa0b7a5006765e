// Fields that a group takes from its members.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/repeated_field.h>
#include <boost/json/fwd.hpp>

#include "millrace/v1/stages.pb.h"
#include "server/stages/oddity.h"

namespace millrace {

// The fields of a `keep` list.
class GroupFields {
 public:
  explicit GroupFields(const google::protobuf::RepeatedPtrField<v1::GroupField>& fields)
      : fields_(fields.begin(), fields.end()) {}

  // Returns the values of one member as the text of a JSON array with one entry for each field. Nothing else of the
  // member is needed to make the group. Notes in `oddities`, if it is not null, texts that look like numbers and will
  // be ordered as texts.
  std::string Take(const boost::json::value& member, Oddities* oddities = nullptr) const;

  // Sets the fields of `group` from the results of Take for its members, in their order. Omits fields that no member
  // has.
  void Put(const std::vector<std::string_view>& members, boost::json::object& group) const;

  // Returns the names of the fields that Put sets.
  std::vector<std::string> names() const;

 private:
  std::vector<v1::GroupField> fields_;
};

}  // namespace millrace
