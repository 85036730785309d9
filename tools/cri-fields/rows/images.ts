import { done, noMeaning, type FieldSection } from '../../field-rows/row.ts';

export const imageSection: FieldSection = {
  title: 'Images',
  about: '',
  rows: {
    'PullImage image.image': done('what to pull', 'what is pulled'),
    'PullImage image.runtime_handler': done('one that is not there is refused', 'what is pulled'),
    'PullImage auth.{username,password,auth,server_address,identity_token,registry_token}': done(
      'credentials, in each of the forms; with a server_address for that registry only',
      'what is pulled',
    ),
    'PullImage sandbox_config.**': noMeaning('what pulls an image is the same for every pod'),
    '{ImageStatus,RemoveImage} image.image': done('which image, by its id, a tag or a digest', 'which image is meant'),
    '{ListImages,StreamImages} filter.image.image': done(
      'only this one, by its id, a tag or a digest',
      'which image is meant',
    ),
    'ImageStatus verbose': done('also `info`, as `crictl inspecti` shows it', 'verbose answers'),
    'PullImage image.{annotations,user_specified_image,image_ref}': noMeaning('`image.image` says which image it is'),
    '{ImageStatus,RemoveImage} image.{annotations,user_specified_image,runtime_handler,image_ref}': noMeaning(
      '`image.image` says which image it is, and every handler has the same images',
    ),
    '{ListImages,StreamImages} filter.image.{annotations,user_specified_image,runtime_handler,image_ref}': noMeaning(
      '`image.image` says which image it is, and every handler has the same images',
    ),
  },
};
